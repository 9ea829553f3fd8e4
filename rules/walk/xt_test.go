package walk

import (
	"testing"

	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// TestXTTyped judges matches as iptables-nft writes them.
func TestXTTyped(t *testing.T) {
	established := uint16(StateEstablished | StateRelated)
	conntrack := func(x xt.ConntrackMtinfoBase, states, status uint16) xt.InfoAny {
		return &xt.ConntrackMtinfo3{ConntrackMtinfo2: xt.ConntrackMtinfo2{ConntrackMtinfoBase: x, StateMask: states, StatusMask: status}}
	}
	byState := uint16(xt.ConntrackState | xt.ConntrackStateAlias)
	all := [2]uint16{0, 65535}
	p := control()
	for _, tc := range []struct {
		name  string
		match string
		rev   uint32
		info  xt.InfoAny
		want  truth
	}{
		{"new", "conntrack", 3, conntrack(xt.ConntrackMtinfoBase{MatchFlags: byState}, uint16(StateNew), 0), yes},
		{"established", "conntrack", 3, conntrack(xt.ConntrackMtinfoBase{MatchFlags: byState}, established, 0), no},
		{"not established", "conntrack", 3, conntrack(xt.ConntrackMtinfoBase{MatchFlags: byState, InvertFlags: byState}, established, 0), yes},
		{"DNATed", "conntrack", 3, conntrack(xt.ConntrackMtinfoBase{MatchFlags: byState}, xtStateDNAT, 0), yes},
		{"status", "conntrack", 3, conntrack(xt.ConntrackMtinfoBase{MatchFlags: uint16(xt.ConntrackStatus)}, 0, uint16(StatusExpected)), no},
		{"an address", "conntrack", 3, conntrack(xt.ConntrackMtinfoBase{MatchFlags: uint16(xt.ConntrackOrigDst)}, 0, 0), maybe},
		{"its port", "tcp", 0, &xt.Tcp{SrcPorts: all, DstPorts: [2]uint16{21, 21}}, yes},
		{"another port", "tcp", 0, &xt.Tcp{SrcPorts: all, DstPorts: [2]uint16{22, 22}}, no},
		{"not another port", "tcp", 0, &xt.Tcp{SrcPorts: all, DstPorts: [2]uint16{22, 22}, InvFlags: xt.TcpInvDestPorts}, yes},
		{"an option", "tcp", 0, &xt.Tcp{SrcPorts: all, DstPorts: all, Option: 2}, maybe},
		{"to this host", "addrtype", 1, &xt.AddrTypeV1{Dest: uint16(xt.AddrTypeLocal)}, no},
		{"to another", "addrtype", 1, &xt.AddrTypeV1{Dest: uint16(xt.AddrTypeUnicast)}, yes},
	} {
		data, err := xt.Marshal(unix.NFPROTO_IPV6, tc.rev, tc.info)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if got, _ := xtMatch(XTMatch{Name: tc.match, Rev: tc.rev, Info: data}, p); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
		if got, _ := xtMatch(XTMatch{Name: tc.match, Rev: tc.rev, Info: data[:2]}, p); got != maybe {
			t.Errorf("%s, cut off: %d, want %d", tc.name, got, maybe)
		}
	}
}
