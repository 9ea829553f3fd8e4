package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/helper/packet"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/raw"
	"ftpvip/tests/lab/script"
)

// forgery sends segments as if the client of an established session had sent them. seq and ack are the next that the
// client would send.
type forgery struct {
	name   string
	strict bool // not where conntrack is liberal: who knows the numbers for it may as well say what the server does take
	send   func(f *forger) error
}

// forger knows a session's addresses, and its numbers, of which a blind attacker makes no use.
type forger struct {
	link     *raw.Link
	src, dst netip.AddrPort
	seq, ack uint32
}

func (f *forger) segment(flags packet.Flags, seq uint32, payload string) raw.Segment {
	return raw.Segment{Src: f.src, Dst: f.dst, Seq: seq, Ack: f.ack, Flags: flags, Payload: []byte(payload)}
}

// repeat sends segments several times, as a sender does that gets no acknowledgement.
func (f *forger) repeat(list ...raw.Segment) error {
	for range 5 {
		for _, s := range list {
			if err := f.link.Send(s); err != nil {
				return err
			}
		}
		time.Sleep(150 * time.Millisecond)
	}
	return nil
}

// lures are payloads that would move a reader: half a line, a line, TLS, a command with another host.
var lures = []string{"x", "PO", "NOOP\r\n", "\x16\x03\x01\x00\x05hello", "\x17\x03\x03\r\n", "PORT 10,2,0,12,8,174\r\n", strings.Repeat("y", 600)}

// spread sends lures with eight sequence numbers all over: one of them is less than 2^28 away from any.
func (f *forger) spread(flags packet.Flags) error {
	var list []raw.Segment
	for _, lure := range lures {
		first := rand.Uint32()
		for i := range uint32(8) {
			s := f.segment(flags, first+i<<29, lure)
			s.Ack = rand.Uint32()
			list = append(list, s)
		}
	}
	return f.repeat(list...)
}

// at sends each lure with a sequence number that is so far from the right one.
func (f *forger) at(flags packet.Flags, distance int, change func(*raw.Segment)) error {
	var list []raw.Segment
	for _, lure := range lures {
		s := f.segment(flags, f.seq+uint32(distance), lure)
		if change != nil {
			change(&s)
		}
		list = append(list, s)
	}
	return f.repeat(list...)
}

// forgeries change nothing where nothing is read on the way: the server's TCP takes none of them.
func forgeries() []forgery {
	const data = packet.ACK | packet.PSH
	list := []forgery{
		{"bad checksum", false, func(f *forger) error { return f.at(data, 0, func(s *raw.Segment) { s.BadChecksum = true }) }},
		{"bad checksum on the FIN", false, func(f *forger) error {
			return f.at(data|packet.FIN, 0, func(s *raw.Segment) { s.BadChecksum = true })
		}},
		{"acknowledges what was never sent", true, func(f *forger) error { return f.at(data, 0, func(s *raw.Segment) { s.Ack += 1 << 20 }) }},
		{"acknowledges the far past", true, func(f *forger) error { return f.at(data, 0, func(s *raw.Segment) { s.Ack -= 1 << 30 }) }},
		{"reset with payload in the window", false, func(f *forger) error { return f.at(packet.RST, 100, nil) }},
		{"reset and ACK with payload in the window", false, func(f *forger) error { return f.at(packet.RST|packet.ACK, 100, nil) }},
		{"blind reset with payload", false, func(f *forger) error { return f.spread(packet.RST) }},
		{"no flags", false, func(f *forger) error { return f.at(0, 0, nil) }},
		{"PSH without ACK", false, func(f *forger) error { return f.at(packet.PSH, 0, nil) }},
		{"FIN without ACK", false, func(f *forger) error { return f.at(packet.FIN, 0, nil) }},
		{"URG without ACK", false, func(f *forger) error {
			return f.at(packet.URG|packet.PSH, 0, func(s *raw.Segment) { s.Urgent = 1 })
		}},
		{"blind data", false, func(f *forger) error { return f.spread(data) }},
		{"SYN with payload at the next byte", false, func(f *forger) error { return f.at(packet.SYN, -1, nil) }},
		{"SYN in the window", false, func(f *forger) error { return f.at(packet.SYN|packet.ACK, 0, nil) }},
	}
	for _, flags := range []packet.Flags{
		packet.SYN, packet.SYN | packet.PSH, packet.SYN | packet.URG, packet.SYN | packet.ECE | packet.CWR, packet.SYN | packet.ACK,
	} {
		list = append(list, forgery{fmt.Sprintf("eight SYNs with payload, flags %#02x", flags), false, func(f *forger) error { return f.spread(flags) }})
	}
	for _, distance := range []int{1 << 20, 1 << 30, -(1 << 16), -(1 << 24), -(1 << 30)} {
		list = append(list, forgery{fmt.Sprintf("data %d bytes away", distance), false, func(f *forger) error { return f.at(data, distance, nil) }})
	}
	return list
}

// TestBlindAttacker has somebody else send segments to established sessions that their servers' TCP does not take. The
// sessions go on as if nothing had happened: commands arrive, files come, and nothing else is read by the server.
func TestBlindAttacker(t *testing.T) {
	for i, tt := range []struct {
		name    string
		arm     int
		liberal bool // conntrack lets pass what is out of window, or has a bad checksum
		restart bool // the helper is another one since the log-in
	}{
		{"as it comes", 0, false, false},
		{"conntrack is liberal", 0, true, false},
		{"one-arm, conntrack is liberal", 1, true, false},
		{"conntrack is liberal, helper restarted", 0, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, arrangement{name: fmt.Sprintf("%d-", i), arm: arms[tt.arm].arm, snat: arms[tt.arm].snat})
			if tt.liberal {
				must(t, s.Balancer.Sysctl("net/netfilter/nf_conntrack_tcp_be_liberal", "1"))
				must(t, s.Balancer.Sysctl("net/netfilter/nf_conntrack_checksum", "0"))
			}
			ready := newGate()
			var list []dialogue
			for _, family := range configs.Families {
				link, err := raw.Open(s.Client, s.vips[0].VIP.Of(family))
				must(t, err)
				t.Cleanup(func() { must(t, link.Close()) })
				for _, f := range forgeries() {
					if f.strict && tt.liberal {
						continue
					}
					d := dialogue{
						name: fmt.Sprintf("%s, IPv%d", f.name, family), family: family,
						talk: func(ctx context.Context, a *actor) error {
							return inOrder(ctx, attack(a, link, f, ready), a.goesOn, a.undisturbed)
						},
					}
					list = append(list, d)
					if s.Arm == lab.TwoArm && !tt.restart { // as it is where nobody reads
						d.name += ", unread"
						d.direct = true
						d.talk = func(ctx context.Context, a *actor) error {
							ends := func(ctx context.Context) error { return a.client.Commands(ctx, "NOOP", "200", "QUIT", "221") }
							return inOrder(ctx, attack(a, link, f, ready), ends, a.undisturbed)
						}
						list = append(list, d)
					}
				}
			}
			ready.open(len(list), func() {
				if tt.restart {
					s.restartHelper()
				}
			})
			s.playAll(t, list)
		})
	}
}

// attack logs in and then has a forgery sent.
func attack(a *actor, link *raw.Link, f forgery, ready *gate) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := inOrder(ctx, a.client.Login, ready.wait); err != nil {
			return err
		}
		seq, ack, err := a.client.Sequence()
		if err != nil {
			return err
		}
		return f.send(&forger{link: link, src: a.client.Local(), dst: a.client.Remote(), seq: seq, ack: ack})
	}
}

// undisturbed checks that the server has read what the client said, and nothing else.
func (a *actor) undisturbed(context.Context) error {
	for _, line := range a.server.Lines() {
		verb, _, _ := strings.Cut(line, " ")
		if !slices.Contains([]string{"USER", "PASS", "PASV", "EPSV", "PORT", "EPRT", "RETR", "NOOP", "QUIT"}, verb) {
			return fmt.Errorf("the server reads %q, which the client did not say", line)
		}
	}
	return nil
}

// reads waits until the server has read a text.
func reads(ctx context.Context, s *script.Session, text string) error {
	return s.Await(ctx, fmt.Sprintf("that the server reads %q", text), func(got string) bool { return strings.Contains(got, text) })
}
