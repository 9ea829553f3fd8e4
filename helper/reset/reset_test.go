package reset

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ti-mo/conntrack"

	"ftpvip/configs"
	"ftpvip/helper/packet"
	"ftpvip/helper/track"
)

var (
	vip      = netip.MustParseAddrPort("192.0.2.10:21")
	backend  = netip.MustParseAddrPort("10.2.0.11:21")
	other    = netip.MustParseAddrPort("10.2.0.12:21")
	client   = netip.MustParseAddrPort("198.51.100.7:4000")
	stranger = netip.MustParseAddrPort("203.0.113.9:5000")
	ref      = configs.Ref{Pool: "farm", Backend: "a"}
)

func sample() *configs.Config {
	addrs := func(a netip.AddrPort) configs.Addrs { return configs.Addrs{V4: a.Addr()} }
	cfg := &configs.Config{
		VIPs: []configs.VIP{{Name: "ftp", Addrs: addrs(vip), Port: 21}},
		Pools: []configs.Pool{{Name: "farm", Backends: []configs.Backend{
			{Name: "a", Addrs: addrs(backend), Port: 21, PassivePorts: configs.PortRange{First: 50000, Last: 50999}},
			{Name: "b", Addrs: addrs(other), Port: 21, PassivePorts: configs.PortRange{First: 51000, Last: 51999}},
		}}},
	}
	return link(cfg)
}

// link makes the one VIP use the first pool.
func link(cfg *configs.Config) *configs.Config {
	cfg.VIPs[0].Pool = &cfg.Pools[0]
	cfg.Link()
	return cfg
}

func at(a netip.AddrPort, port uint16) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), port) }

func tuple(src, dst netip.AddrPort) conntrack.Tuple {
	return conntrack.Tuple{
		IP:    conntrack.IPTuple{SourceAddress: src.Addr(), DestinationAddress: dst.Addr()},
		Proto: conntrack.ProtoTuple{Protocol: protoTCP, SourcePort: src.Port(), DestinationPort: dst.Port()},
	}
}

// flow is a connection from src to dst that really goes to and from others.
func flow(id uint32, src, dst, answers, to netip.AddrPort) conntrack.Flow {
	return conntrack.Flow{
		ID: id, TupleOrig: tuple(src, dst), TupleReply: tuple(answers, to),
		ProtoInfo: conntrack.ProtoInfo{TCP: &conntrack.ProtoInfoTCP{State: tcpEstablished}},
	}
}

func of(f conntrack.Flow, master conntrack.Flow) conntrack.Flow {
	f.TupleMaster = master.TupleOrig
	return f
}

// TestFallbackPool: a VIP's sessions may be at a server of the pool that its own falls back to. A server that is in both
// has its sessions from the VIP's own.
func TestFallbackPool(t *testing.T) {
	sorry := netip.MustParseAddrPort("10.2.0.99:21")
	session, shared := flow(1, client, vip, sorry, client), flow(2, client, vip, backend, client)
	cfg := sample()
	cfg.Pools = append(cfg.Pools, configs.Pool{Name: "sorry", Backends: []configs.Backend{
		{Name: "s", Addrs: configs.Addrs{V4: sorry.Addr()}, Port: 21},
		{Name: "a", Addrs: configs.Addrs{V4: backend.Addr()}, Port: 21},
	}})
	cfg.Pools[0].Fallback = &cfg.Pools[1]
	link(cfg)
	tests := []struct {
		ref  configs.Ref
		flow conntrack.Flow
		want kind
	}{
		{configs.Ref{Pool: "sorry", Backend: "s"}, session, control},
		{ref, session, none},
		{configs.Ref{Pool: "sorry", Backend: "a"}, shared, none},
		{ref, shared, control},
	}
	for _, tt := range tests {
		if got := newFinder(cfg, []configs.Ref{tt.ref}).kind(&tt.flow); got != tt.want {
			t.Errorf("%s, at %s: %d, want %d", tt.ref, track.Source(tt.flow.TupleReply), got, tt.want)
		}
	}
	cfg.Pools[0].Fallback = nil
	cfg.Link()
	if got := newFinder(cfg, []configs.Ref{{Pool: "sorry", Backend: "s"}}).kind(&session); got != none {
		t.Errorf("without fallback: %d, want none", got)
	}
}

func TestKind(t *testing.T) {
	mine := flow(1, client, vip, backend, client)
	theirs := flow(2, stranger, vip, other, stranger)
	gone := flow(3, at(client, 4001), vip, backend, client)
	back := flow(14, at(backend, 21), at(client, 4009), at(client, 4009), vip) // conntrack saw the server's packet first
	backGone := flow(15, at(backend, 21), at(client, 4010), at(client, 4010), vip)
	backTheirs := flow(16, at(other, 21), at(stranger, 4009), at(stranger, 4009), vip)
	tests := []struct {
		name string
		flow conntrack.Flow
		want kind
	}{
		{"control", mine, control},
		{"reversed", back, control},
		{"reversed, of the other backend", backTheirs, none},
		{"passive, its control connection reversed", of(flow(17, at(client, 4002), at(vip, 60003), at(backend, 60003), client), back), data},
		{"passive, its reversed control connection has gone", of(flow(18, client, at(vip, 60003), at(backend, 60003), client), backGone), data},
		{"passive of the other backend, reversed", of(flow(19, client, at(vip, 60003), at(other, 60003), client), backTheirs), none},
		{"of the other backend", theirs, none},
		{"passive", of(flow(4, at(client, 4002), at(vip, 60000), at(backend, 60000), at(client, 4002)), mine), data},
		{"active", of(flow(5, at(backend, 20), at(client, 4003), at(client, 4003), at(vip, 20)), mine), data},
		{"passive of the other backend", of(flow(6, at(client, 4002), at(vip, 60000), at(other, 60000), client), theirs), none},
		{"passive at the other's address", of(flow(7, client, at(vip, 60001), at(backend, 60001), client), theirs), none},
		{"its control connection has gone", of(flow(8, client, at(vip, 60002), at(backend, 60002), client), gone), data},
		{"active, gone", of(flow(9, at(backend, 20), at(client, 4003), at(client, 4003), at(vip, 20)), gone), data},
		{"slice", flow(10, client, at(vip, 50007), at(backend, 50007), client), data},
		{"the other's slice", flow(11, client, at(vip, 51007), at(other, 51007), client), none},
		{"past the VIP", flow(12, client, backend, backend, client), none},
		{"somebody's", flow(13, client, stranger, stranger, client), none},
	}
	f := newFinder(sample(), []configs.Ref{ref, {Pool: "farm", Backend: "missing"}})
	f.learn([]conntrack.Flow{mine, theirs, back, backTheirs})
	for _, tt := range tests {
		if got := f.kind(&tt.flow); got != tt.want {
			t.Errorf("%s: kind %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestProvocation(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		flags    packet.Flags
		payload  int
	}{
		{"192.0.2.10:21", "198.51.100.7:4000", packet.SYN | packet.ACK, 0},
		{"192.0.2.10:21", "198.51.100.7:4000", packet.ACK, 1},
		{"[2001:db8::10]:21", "[2001:db8:1::7]:4000", packet.SYN, 0},
		{"[2001:db8::10]:21", "[2001:db8:1::7]:4000", packet.ACK, 1},
	} {
		from, to := netip.MustParseAddrPort(tt.from), netip.MustParseAddrPort(tt.to)
		b, err := provocation(from, to, tt.flags, 0x01020304, 0x05060708)
		if err != nil {
			t.Fatal(err)
		}
		p, err := packet.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if p.Src != from || p.Dst != to || p.Flags != tt.flags || p.Seq != 0x01020304 || p.Ack != 0x05060708 || len(p.Payload) != tt.payload {
			t.Errorf("%+v", p)
		}
		if !p.ChecksumOK() {
			t.Errorf("%s: wrong checksum", tt.from)
		}
	}
}

// fake is a kernel whose connections are a list.
type fake struct {
	flows     []conntrack.Flow
	labels    bool // there is place for them
	labelled  []uint32
	forgotten []uint32
	sent      []packet.Packet
	fail      error
}

func (k *fake) dump() ([]conntrack.Flow, error) { return k.flows, k.fail }

func (k *fake) label(f *conntrack.Flow) (bool, error) {
	k.labelled = append(k.labelled, f.ID)
	return k.labels, nil
}

func (k *fake) forget(f *conntrack.Flow) error {
	k.forgotten = append(k.forgotten, f.ID)
	return nil
}

func (k *fake) send(b []byte, _ netip.Addr) error {
	p, err := packet.Parse(b)
	k.sent = append(k.sent, p)
	return errors.Join(err, errors.New("lost")) // which must not matter
}

var soon = []time.Duration{time.Microsecond, time.Microsecond}

func closed(f conntrack.Flow) conntrack.Flow {
	f.ProtoInfo.TCP.State = tcpTimeWait
	return f
}

func TestReset(t *testing.T) {
	mine := flow(1, client, vip, backend, client)
	k := &fake{labels: true, flows: []conntrack.Flow{
		mine, flow(2, stranger, vip, other, stranger), closed(flow(3, at(client, 9), vip, backend, client)),
		of(flow(4, client, at(vip, 60000), at(backend, 60000), client), mine),
	}}
	ended, err := reset(t.Context(), k, newFinder(sample(), []configs.Ref{ref}), soon)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Ended{Control: 1, Data: 1}, ended); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if want := []uint32{1, 4}; !cmp.Equal(want, k.labelled) || !cmp.Equal(want, k.forgotten) {
		t.Errorf("labelled %v, forgotten %v, want %v", k.labelled, k.forgotten, want)
	}
	syns := map[netip.AddrPort]packet.Flags{}
	for _, p := range k.sent {
		if p.Flags.Has(packet.SYN) {
			if syns[p.Dst] != 0 && p.Dst != client { // the client's end has the same address in both connections
				t.Errorf("two SYNs to %s: the second may open a connection", p.Dst)
			}
			syns[p.Dst] = p.Flags
		}
	}
	want := map[netip.AddrPort]packet.Flags{
		client: packet.SYN | packet.ACK, backend: packet.SYN, at(backend, 60000): packet.SYN,
	}
	if diff := cmp.Diff(want, syns, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("SYNs (-want +got)\n%s", diff)
	}
	if len(k.sent) != 2*(4+2) { // two connections, two ends: two packets in the first round, one in the second
		t.Errorf("%d packets", len(k.sent))
	}
}

func TestResetWithoutLabels(t *testing.T) {
	k := &fake{flows: []conntrack.Flow{flow(1, client, vip, backend, client)}}
	ended, err := reset(t.Context(), k, newFinder(sample(), []configs.Ref{ref}), soon)
	if err != nil || ended != (Ended{Control: 1, Silent: 1}) || len(k.sent) > 0 || len(k.forgotten) != 1 {
		t.Errorf("%+v, %v, %d packets, forgotten %v", ended, err, len(k.sent), k.forgotten)
	}
}

func TestResetNothing(t *testing.T) {
	k := &fake{labels: true}
	if ended, err := reset(t.Context(), k, newFinder(sample(), []configs.Ref{ref}), []time.Duration{time.Hour}); err != nil || ended != (Ended{}) {
		t.Errorf("%+v, %v", ended, err)
	}
	k.fail = errors.New("broken")
	if _, err := reset(t.Context(), k, newFinder(sample(), []configs.Ref{ref}), soon); !errors.Is(err, k.fail) {
		t.Errorf("%v", err)
	}
}
