package ftp

import (
	"net/netip"
	"strings"
	"testing"
)

// dialect is a way in which servers and clients of the world say what the RFCs say otherwise, or leave open.
type dialect struct {
	name   string
	ends   Endpoints
	asked  string // by the client
	said   string // by the server; "": the command is what matters
	want   string // what the other end reads, without the line end; "": another port
	source string // who says so
}

func client4At(addr string) Endpoints {
	e := ends4()
	e.Client = netip.AddrPortFrom(netip.MustParseAddr(addr), 40000)
	e.Seen = e.Client
	return e
}

// dialects is the table of forms. ARCHITECTURE.md has it in words.
var dialects = []dialect{
	// PORT with three digits in each number.
	{
		"PORT, padded", client4At("192.168.1.103"), "PORT 192,168,001,103,004,010", "", "PORT 192,168,001,103,004,10 ",
		"devices, by github.com/QuorumDMS/ftp-srv/pull/237",
	},
	{
		"PORT, padded beyond what zeros can say", client4At("203.113.100.9"), "PORT 203,113,100,009,195,080", "", "PORT 203,113,100,9,195,80   ",
		"the same",
	},
	{
		"PORT, padded below 8", client4At("10.2.0.7"), "PORT 010,002,000,007,195,080", "", "PORT 10,002,000,007,195,80  ",
		"the same",
	},
	{"PORT, padded where nobody can read it otherwise", client4At("203.0.113.7"), "PORT 203,000,113,007,195,007", "", "PORT 203,000,113,007,195,007", "the same"},
	{"EPRT, padded", client4At("192.168.1.103"), "EPRT |1|192.168.001.103|01034|", "", "EPRT |1|192.168.1.103|1034|   ", "a sibling"},
	{"EPRT, padded below 8", client4At("192.168.1.103"), "EPRT |1|192.168.001.103|1034|", "", "EPRT |1|192.168.001.103|1034|", "a sibling"},
	{"EPRT over IPv6, padded port", ends6(), "EPRT |2|2001:db8:1::9|01034|", "", "EPRT |2|2001:db8:1::09|1034|", "a sibling"},
	{"PORT, padded, one-arm", oneArm4(), "PORT 203,000,113,009,195,080", "", "", "the same"},
	{"EPRT, padded, one-arm", oneArm4(), "EPRT |1|203.000.113.009|50000|", "", "EPRT |1|10.2.0.1|000000050000|", "a sibling"},

	// The reply to the other command.
	{
		"229 to PASV", ends4(), "PASV", "229 Entering Extended Passive Mode (|||50000|)", "229 Entering Extended Passive Mode (|||50000|)",
		"github.com/curl/curl/issues/10598, github.com/python/cpython/issues/127478",
	},
	{
		"227 to EPSV", ends4(), "EPSV", "227 Entering Passive Mode (10,2,0,11,195,80).", "227 Entering Passive Mode (192,0,2,10,195,80)",
		"github.com/patrickjuchli/basic-ftp/issues/164",
	},

	// 0,0,0,0 for the server itself.
	{
		"227 with 0,0,0,0", ends4(), "PASV", "227 Entering Passive Mode (0,0,0,0,195,80).", "227 Entering Passive Mod(192,0,2,10,195,80)",
		"vsftpd, postlogin.c, handle_pasv: a process that listens in both families",
	},
	{
		"227 with 0,0,0,0 over IPv6", ends6(), "PASV", "227 Entering Passive Mode (0,0,0,0,195,80).", "227 Entering Passive Mode (0,0,0,0,195,80).",
		"the same",
	},
	{
		"227 with 0,0,0,0 to EPSV over IPv6", ends6(), "EPSV", "227 Entering Passive Mode (0,0,0,0,195,80).", "227 Entering Passive Mode (0,0,0,0,195,80).",
		"the same, and basic-ftp",
	},

	// What the text of a 227 may be (RFC 959 leaves it free; RFC 1123, section 4.1.2.6).
	{"equals", ends4(), "PASV", "227 =10,2,0,11,4,51", "", "cr.yp.to/ftp/retr.html"},
	{
		"in two lines", ends4(), "PASV", "227-Entering Passive Mode (10,2,0,11,195,80)\r\n227 End",
		"227-Entering Passive Mode(192,0,2,10,195,80)\r\n227 End", "github.com/secsy/goftp/issues/1",
	},
	{
		"without parentheses", ends4(), "PASV", "227 Entering passive mode. 10,2,0,11,4,51", "227 Entering passive mode 192,0,2,10,4,51",
		"RFC 1123, section 4.1.2.6",
	},
	{"no blank", ends4(), "PASV", "227 Passive mode(10,2,0,11,195,80)", "227 Passive mod(192,0,2,10,195,80)", "a sibling"},

	// The delimiter of a 229 is free (RFC 2428, section 3).
	{"bangs", ends4(), "EPSV", "229 ok (!!!50000!)", "229 ok (!!!50000!)", "IBM i, by basic-ftp, src/transfer.ts"},
}

// TestDialects: each form works, and leads to the port that it names.
func TestDialects(t *testing.T) {
	for _, tt := range dialects {
		t.Run(tt.name, func(t *testing.T) {
			w := greeted(t, tt.ends, Policy{})
			w.client(tt.asked + "\r\n")
			in, got := tt.asked, w.toBackend()
			if tt.said != "" {
				eq(t, got, tt.asked+"\r\n")
				w.toClient()
				w.server(tt.said + "\r\n")
				in, got = tt.said, w.toClient()
			}
			w.wantNoneHeld()
			w.wantOpened(1)
			sameLen(t, in+"\r\n", got)
			switch { // without want another port makes room
			case tt.want != "":
				eq(t, strings.TrimSuffix(got, "\r\n"), tt.want)
			case tt.said != "":
				readsPASV(t, got, w.opened[0])
			default:
				if a, ok := readActive(got[:4], got[5:len(got)-2], false); !ok || a != w.opened[0].At {
					t.Errorf("a server reads %v out of %q, want %v", a, got, w.opened[0].At)
				}
			}
			d := w.opened[0]
			end := tt.ends.Client.Addr()
			if tt.said != "" {
				end = tt.ends.Backend.Addr()
			}
			if d.To.Addr() != end {
				t.Errorf("opened %+v", d)
			}
			if e, ok := w.last(EventRefused); ok {
				t.Errorf("refused: %+v", e)
			}
			if tt.source == "" {
				t.Error("nobody says that")
			}
			// It is answered: another one was not asked for.
			if tt.said != "" {
				w.server(tt.said + "\r\n")
				w.wantOpened(1)
			}
		})
	}
}

// TestPlainActive: in two-arm mode every server reads the same address and port out of a padded command of the client's own,
// with leading zeros for octal or not, wherever the line was cut; or it is refused.
func TestPlainActive(t *testing.T) {
	for _, tt := range []struct{ client, cmd string }{
		{"203.0.113.9", "PORT 203,0,113,009,195,080\r\n"}, {"203.0.113.9", "PORT 203,000,113,009,195,080\r\n"},
		{"10.2.0.77", "PORT 010,002,000,077,012,010\r\n"}, {"203.113.100.200", "PORT 203,113,100,200,195,080  \r\n"},
		{"203.0.113.9", "PORT 203,0,113,9,195,080\r\n"}, {"203.0.113.9", "EPRT |1|203.0.113.9|05000|\r\n"},
		{"203.0.113.9", "EPRT |1|203.000.113.009|05000|\r\n"}, {"203.0.113.9", "PORT 203,0,113,9,195,008\r\n"},
		{"2001:db8:1::9", "EPRT |2|2001:db8:1::9|05000|\r\n"}, {"2001:db8:1::9", "EPRT |2|2001:db8:1:0:0:0:0:9|05000|\r\n"},
	} {
		for cut := range len(tt.cmd) {
			e := client4At(tt.client)
			if e.Client.Addr().Is6() {
				e.VIP, e.Backend = vip6, backend6
			}
			w := greeted(t, e, Policy{})
			if cut > 0 {
				w.client(tt.cmd[:cut])
			}
			w.client(tt.cmd[cut:])
			got := w.toBackend()
			sameLen(t, tt.cmd, got)
			verb, arg, _ := strings.Cut(strings.TrimRight(got, "\r\n"), " ")
			for _, octal := range []bool{false, true} {
				a, ok := readAs(verb, arg, true, octal)
				switch {
				case len(w.opened) == 0 && ok && verb == tt.cmd[:4] && isLegal(got):
					t.Errorf("%q cut at %d: %q, refused, and a server reads %v", tt.cmd, cut, got, a)
				case len(w.opened) == 1 && (!ok || a != w.opened[0].To):
					t.Errorf("%q cut at %d: a server reads %v (%v) out of %q, want %v", tt.cmd, cut, a, ok, got, w.opened[0].To)
				}
			}
			if cut == 0 && len(w.opened) != 1 {
				t.Errorf("%q: opened %v, sent %q", tt.cmd, w.opened, got)
			}
		}
	}
}
