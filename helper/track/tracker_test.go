package track

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/ti-mo/conntrack"

	"ftpvip/helper/ftp"
)

func TestExpectation(t *testing.T) {
	tests := []struct {
		name      string
		conn      Connection
		data      ftp.DataConn
		src, dst  string // the tuple
		mask      string // of the source address
		natReply  bool
		natSource string
		reversed  bool
	}{
		{
			name: "passive", conn: twoArm, data: ftp.DataConn{Passive: true, Port: 50000, To: at("10.2.0.11:50123")},
			src: "203.0.113.9:0", dst: "192.0.2.10:50000", mask: "255.255.255.255", natSource: "10.2.0.11:50123",
		},
		{
			name: "passive, any source", conn: twoArm,
			data: ftp.DataConn{Passive: true, Port: 50000, To: at("10.2.0.11:50000"), AnySource: true},
			src:  "203.0.113.9:0", dst: "192.0.2.10:50000", mask: "0.0.0.0", natSource: "10.2.0.11:50000",
		},
		{
			name: "passive, IPv6", conn: twoArm6, data: ftp.DataConn{Passive: true, Port: 50000, To: at("[fd00::11]:50000")},
			src: "[2001:db8:1::9]:0", dst: "[2001:db8::10]:50000", mask: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
			natSource: "[fd00::11]:50000",
		},
		{
			name: "passive, reversed", conn: backwards,
			data: ftp.DataConn{Passive: true, Port: 50000, To: at("10.2.0.11:50123")}, reversed: true,
			src: "203.0.113.9:0", dst: "192.0.2.10:50000", mask: "255.255.255.255", natReply: true, natSource: "10.2.0.11:50123",
		},
		{
			name: "active, reversed", conn: backwards, data: ftp.DataConn{Port: 40001, To: at("203.0.113.9:40001")}, reversed: true,
			src: "10.2.0.11:0", dst: "203.0.113.9:40001", mask: "255.255.255.255", natSource: "203.0.113.9:40001",
		},
		{
			name: "active, two-arm", conn: twoArm, data: ftp.DataConn{Port: 40001, To: at("203.0.113.9:40001")},
			src: "10.2.0.11:0", dst: "203.0.113.9:40001", mask: "255.255.255.255", natReply: true, natSource: "203.0.113.9:40001",
		},
		{
			name: "active, one-arm", conn: oneArm, data: ftp.DataConn{Port: 50001, To: at("203.0.113.9:40001")},
			src: "10.2.0.11:0", dst: "10.2.0.1:50001", mask: "255.255.255.255", natReply: true, natSource: "203.0.113.9:40001",
		},
	}
	t.Run("active, another host", func(t *testing.T) {
		e := expectation(twoArm, ftp.DataConn{Port: 40001, To: at("198.51.100.7:40001")})
		if e.Function != "" || e.NAT != (conntrack.ExpectNAT{}) || e.Tuple != Tuple(at("10.2.0.11:0"), at("198.51.100.7:40001")) {
			t.Errorf("%+v, want one to the other host, without translation", e)
		}
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := expectation(tt.conn, tt.data)
			master := Tuple(tt.conn.Client, tt.conn.VIP)
			if tt.reversed {
				master = Tuple(tt.conn.Backend, tt.conn.Seen)
			}
			want := conntrack.Expect{
				TupleMaster: master,
				Tuple:       Tuple(at(tt.src), at(tt.dst)),
				Mask:        Tuple(netip.AddrPortFrom(netip.MustParseAddr(tt.mask), 0), netip.AddrPortFrom(ones(tt.conn.Client.Addr()), 0xffff)),
				NAT:         conntrack.ExpectNAT{Direction: tt.natReply, Tuple: Tuple(at(tt.natSource), at(tt.dst))},
			}
			if d := cmp.Diff(want, e, cmpopts.IgnoreFields(conntrack.Expect{}, "Timeout", "Function"), cmpopts.EquateComparable(netip.Addr{})); d != "" {
				t.Errorf("expectation differs (-want +got)\n%s", d)
			}
			if e.Function != "nat-follow-master\x00" {
				t.Errorf("function %q: the kernel wants the NUL", e.Function)
			}
		})
	}
}

func TestLatestWins(t *testing.T) {
	for _, tt := range []struct {
		name string
		conn Connection
		data ftp.DataConn
		want bool
	}{
		{"active, two-arm", twoArm, ftp.DataConn{}, true},
		{"active, one-arm", oneArm, ftp.DataConn{}, false},
		{"passive", twoArm, ftp.DataConn{Passive: true}, false},
		{"active, IPv6", twoArm6, ftp.DataConn{}, true},
	} {
		if got := latestWins(tt.conn, tt.data); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}
