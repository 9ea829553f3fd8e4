package ftp

import (
	"net/netip"
	"testing"
)

func TestPassiveReplies(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want string
	}{
		{"usual", "227 Entering Passive Mode (10,2,0,11,195,80).\r\n", "227 Entering Passive Mode (192,0,2,10,195,80)\r\n"},
		{"no dot", "227 Entering Passive Mode (10,2,0,11,195,80)\r\n", ""},
		{"bare LF", "227 Entering Passive Mode (10,2,0,11,195,80).\n", ""},
		{"no parentheses", "227 Entering passive mode. 10,2,0,11,4,51\r\n", ""},
		{"in a sentence", "227 Data transfer will passively listen to 10,2,0,11,4,51\r\n", ""},
		{"equals", "227 =10,2,0,11,4,51\r\n", ""},
		{"blanks after commas", "227 Entering Passive Mode (10, 2, 0, 11, 195, 80).\r\n", ""},
		{"leading zeros", "227 Entering Passive Mode (010,002,000,011,195,080).\r\n", ""},
		{"digits in the text", "227 Entering Passive Mode v2 on 8 hosts (10,2,0,11,195,80).\r\n", ""},
		{"parentheses in the text", "227 Entering (extended) Passive Mode (10,2,0,11,195,80).\r\n", ""},
		{"digits in the tail", "227 Entering Passive Mode (10,2,0,11,195,80) for 300 s\r\n", ""},
		{"other language", "227 \xd0\x9f\xd0\xb0\xd1\x81\xd1\x81\xd0\xb8\xd0\xb2\xd0\xbd\xd1\x8b\xd0\xb9 (10,2,0,11,195,80).\r\n", ""},
		{"names the VIP", "227 Entering Passive Mode (192,0,2,10,195,80).\r\n", "227 Entering Passive Mode (192,0,2,10,195,80).\r\n"},
		{"CR CR LF", "227 Entering Passive Mode (10,2,0,11,195,80).\r\r\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := greeted(t, ends4(), Policy{})
			w.pasv()
			w.server(tt.in)
			got := w.toClient()
			sameLen(t, tt.in, got)
			if tt.want != "" {
				eq(t, got, tt.want)
			}
			w.wantOpened(1)
			port := w.opened[0].Port
			for name, parse := range pasvParsers {
				a, err := parse(got)
				if want := netip.AddrPortFrom(vip4.Addr(), port); err != nil || a != want {
					t.Errorf("%s reads %v (%v) out of %q, want %v", name, a, err, got, want)
				}
			}
			w.wantNoneHeld()
			t.Logf("%q", got)
		})
	}
}

func TestExtendedPassiveReplies(t *testing.T) {
	for _, tt := range []struct{ name, in string }{
		{"usual", "229 Entering Extended Passive Mode (|||6446|)\r\n"},
		{"dot", "229 Entering Extended Passive Mode (|||6446|).\r\n"},
		{"other words", "229 Extended Passive mode OK (|||62282|)\r\n"},
		{"delimiter", "229 Entering Extended Passive Mode (!!!6446!)\r\n"},
		{"lowest delimiter", "229 ok (!!!6446!)\n"},
		{"highest delimiter", "229 ok (~~~6446~)\n"},
	} {
		for _, e := range []Endpoints{ends4(), ends6()} {
			t.Run(tt.name+" "+e.VIP.Addr().String(), func(t *testing.T) {
				w := greeted(t, e, Policy{})
				w.epsv()
				w.server(tt.in)
				eq(t, w.toClient(), tt.in)
				w.wantOpened(1)
				// The port is taken: another one, at the same length.
				w.busy[w.opened[0].Port] = true
				w.epsv()
				w.server(tt.in)
				got := w.toClient()
				sameLen(t, tt.in, got)
				w.wantOpened(2)
				for name, parse := range epsvParsers {
					if p, err := parse(got); err != nil || p != w.opened[1].Port {
						t.Errorf("%s reads %d (%v) out of %q, want %d", name, p, err, got, w.opened[1].Port)
					}
				}
				if w.opened[1].To.Port() != w.opened[0].To.Port() {
					t.Errorf("to %v, want the backend's port", w.opened[1].To)
				}
			})
		}
	}
}

func TestActiveTwoArm(t *testing.T) {
	for _, tt := range []struct {
		cmd  string
		e    Endpoints
		port uint16
	}{
		{"PORT 203,0,113,9,195,80\r\n", ends4(), 50000},
		{"port 203,0,113,9,195,80\n", ends4(), 50000},
		{"EPRT |1|203.0.113.9|50000|\r\n", ends4(), 50000},
		{"EPRT !1!203.0.113.9!50000!\r\n", ends4(), 50000},
		{"EPRT |2|2001:db8:1::9|50000|\r\n", ends6(), 50000},
		{"EPRT |2|2001:0DB8:1:0:0:0:0:9|50000|\r\n", ends6(), 50000},
	} {
		w := greeted(t, tt.e, Policy{})
		w.client(tt.cmd)
		eq(t, w.toBackend(), tt.cmd)
		w.wantOpened(1)
		want := netip.AddrPortFrom(tt.e.Client.Addr(), tt.port)
		if d := w.opened[0]; d.Passive || d.To != want || d.At != want || d.Port != tt.port {
			t.Errorf("%q: opened %+v", tt.cmd, d)
		}
	}
}

func TestActiveOneArm(t *testing.T) {
	for _, tt := range []struct {
		cmd string
		e   Endpoints
	}{
		{"PORT 203,0,113,9,195,80\r\n", oneArm4()},
		{"PORT 203,0,113,9,4,8\r\n", oneArm4()},
		{"PORT 203,0,113,9,195,180\r\n", oneArm4()},
		{"PORT 203,0,113,9,195,180   \r\n", oneArm4()},
		{"EPRT |1|203.0.113.9|50000|\r\n", oneArm4()},
		{"EPRT |1|203.0.113.9|1024|\r\n", oneArm4()},
		{"EPRT |2|2001:db8:1::9|50000|\r\n", oneArm6()},
		{"EPRT |2|2001:0DB8:1:0:0:0:0:9|50000|\r\n", oneArm6()},
		{"EPRT |2|2001:0DB8:0001:0000:0000:0000:0000:0009|50000|\r\n", oneArm6()},
	} {
		w := greeted(t, tt.e, Policy{})
		w.client(tt.cmd)
		got := w.toBackend()
		sameLen(t, tt.cmd, got)
		w.wantOpened(1)
		content := splitEnd([]byte(got))
		var at netip.AddrPort
		if content[0] == 'P' {
			at, _, _ = parsePort(content[5:])
		} else {
			p := splitEprt(string(content[5:]))
			at = p
		}
		if want := addrPort(tt.e.Seen, w.opened[0].Port); at != want {
			t.Errorf("%q became %q: names %v, want %v", tt.cmd, got, at, want)
		}
		if d := w.opened[0]; d.To.Addr() != tt.e.Client.Addr() {
			t.Errorf("opened %+v", d)
		}
		t.Logf("%q", got)
	}
}
