package probe

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/helper/ftp"
)

// forms has what servers answer to PASV and EPSV, and what is read: "" where it is refused. In public sources and bug
// reports there are replies 227 with and without parentheses, and behind "="; replies 229 always have parentheses, as
// curl, ftplib, FluentFTP and others demand, and some a full stop behind (Serv-U). What no server is known to send is
// refused, as clients would read different addresses in it, or none.
var forms = []struct{ reply, want string }{
	{"227 Entering Passive Mode (10,2,0,11,195,80).\r\n", "10.2.0.11:50000"}, // vsftpd, ProFTPD, pyftpdlib
	{"227 Entering Passive Mode (10,2,0,11,195,80)\r\n", "10.2.0.11:50000"},  // Pure-FTPd
	{"227 Entering Passive Mode 10,2,0,11,195,80\r\n", "10.2.0.11:50000"},    // small servers
	{"227 =10,2,0,11,195,80\r\n", "10.2.0.11:50000"},                         // publicfile
	{"227 Entering Passive Mode (10, 2, 0, 11, 195, 80)\r\n", "10.2.0.11:50000"},
	{"227 Entering Passive Mode (010,002,000,011,195,080)\r\n", "10.2.0.11:50000"}, // fixed width
	{"227 Data transfer 2 will passively listen to 10,2,0,11,195,80\r\n", "10.2.0.11:50000"},
	{"227-Entering\r\n227 Passive Mode (10,2,0,11,195,80)\r\n", "10.2.0.11:50000"},
	{"227-Passive Mode (10,2,0,11,195,80)\r\n227 End\r\n", "10.2.0.11:50000"},
	{"227 ok\r\n", ""},
	{"227 (10,2,0,11,195)\r\n", ""},
	{"227 (10,2,0,256,195,80)\r\n", ""},
	{"227 (10,2,0,11,0,0)\r\n", ""},
	{"227 Entering Passive Mode (0,0,0,0,195,80)\r\n", "10.2.0.11:50000"}, // vsftpd that listens in both families: itself
	{"227 (0,0,0,0,0,0)\r\n", ""},
	{"227 (0010,2,0,11,195,80)\r\n", ""}, // octal for some
	{"227 (10,2,0,11,195,80,1)\r\n", ""}, // which six?
	{"227 (4,10,2,0,11,195,80)\r\n", ""},
	{"227 (1,10,2,0,11,195,80,9)\r\n", ""},
	{"227 (10,2,0,11,195,99999999999999999999)\r\n", ""},
	{"227 (1,2,3,4,5,6,7), (10,2,0,11,195,80)\r\n", ""},

	{"229 Entering Extended Passive Mode (|||50000|)\r\n", "50000"},
	{"229 Entering Extended Passive Mode (|||50000|).\r\n", "50000"}, // vsftpd 3.0.5, Serv-U
	{"229 (!!!50000!)\r\n", "50000"},
	{"229-Entering\r\n229 Extended Passive Mode (|||50000|)\r\n", "50000"},
	{"229 Entering Extended Passive Mode |||50000|\r\n", ""},             // curl and ftplib find nothing
	{"229 Entering Extended Passive Mode ( |||50000| )\r\n", ""},         // the same
	{"229 Entering Extended Passive Mode (||50000|)\r\n", ""},            // BulletProof FTP Server
	{"229 Entering Extended Passive Mode (|1|10.2.0.11|50000|)\r\n", ""}, // after EPSV EXTENDED, which is no standard
	{"229 Entering (extended) Passive Mode (|||50000|)\r\n", ""},         // clients look behind the first parenthesis
	{"229 (|||50000)\r\n", ""},
	{"229 (||!50000|)\r\n", ""},
	{"229 (|||0|)\r\n", ""},
	{"229 (|||65536|)\r\n", ""},
	{"229 (|||x|)\r\n", ""},
	{"229 ok\r\n", ""},
}

// TestForms: a check takes a reply if the helper does, and finds the same in it. Otherwise a check would be green while
// every client is refused, or the other way round.
func TestForms(t *testing.T) {
	for _, tt := range forms {
		for _, mode := range []configs.DataMode{configs.ModePASV, configs.ModeEPSV} { // some servers answer either with either
			if got := byHelper(t, mode, tt.reply); got != tt.want {
				t.Errorf("%s, %q: the helper reads %q, want %q", mode, tt.reply, got, tt.want)
			}
			if got := byCheck(t, mode, tt.reply); got != tt.want {
				t.Errorf("%s, %q: a check reads %q, want %q", mode, tt.reply, got, tt.want)
			}
		}
	}
}

// opened notes what a session announces.
type opened struct{ to netip.AddrPort }

// Open implements ftp.Opener.
func (o *opened) Open(d ftp.DataConn) error { o.to = d.To; return nil }

// byHelper has a control connection with a reply to PASV or EPSV read by the helper's engine.
func byHelper(t *testing.T, mode configs.DataMode, reply string) string {
	t.Helper()
	client := netip.MustParseAddrPort("203.0.113.9:40000")
	ends := ftp.Endpoints{
		Client: client, Seen: client,
		VIP: netip.MustParseAddrPort("192.0.2.10:21"), Backend: netip.MustParseAddrPort("10.2.0.11:21"),
	}
	var o opened
	s := ftp.NewSession(&ends, &ftp.Policy{}, ftp.Fresh, &o)
	refused := false
	s.OnEvent(func(e ftp.Event) { refused = refused || e.Kind == ftp.EventRefused })
	next := [2]uint32{1, 1}
	say := func(dir ftp.Direction, text string) {
		now := time.Unix(1, 0)
		s.Segment(now, dir, ftp.Segment{Seq: next[dir], Ack: next[1-dir], Payload: []byte(text)}, next[0]+next[1], nil)
		next[dir] += uint32(len(text))
	}
	say(ftp.FromServer, "220 ready\r\n")
	say(ftp.FromClient, strings.ToUpper(string(mode))+"\r\n")
	say(ftp.FromServer, reply)
	switch {
	case refused == o.to.IsValid():
		t.Errorf("%q: refused %v, and opened %v", reply, refused, o.to)
	case refused:
		return ""
	case strings.HasPrefix(reply, "229"):
		return fmt.Sprint(o.to.Port())
	}
	return o.to.String()
}

// byCheck has a check ask a server that gives the reply.
func byCheck(t *testing.T, mode configs.DataMode, reply string) string {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		defer far.Close()
		if _, err := bufio.NewReader(far).ReadString('\n'); err == nil {
			_, _ = io.WriteString(far, reply)
		}
	}()
	s := &session{ctx: t.Context(), t: Target{Timeout: time.Minute, Spec: &Spec{}}}
	s.use(near)
	port, err := s.askPassive(mode)
	switch {
	case err != nil:
		return ""
	case strings.HasPrefix(reply, "229"):
		return fmt.Sprint(port)
	}
	return netip.AddrPortFrom(netip.MustParseAddr("10.2.0.11"), port).String()
}
