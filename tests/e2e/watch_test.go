package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab/client"
)

// TestSessionsAreTold follows one session through `ftpvip sessions`, `ftpvip status` and the helper's log.
func TestSessionsAreTold(t *testing.T) {
	f := newFarm(t, arrangement{})
	must(t, f.Balancer.Sysctl("net/netfilter/nf_conntrack_acct", "1"))
	v := f.vips[0]
	want := content("told", 200_000)
	v.put(t, "told", want)
	s, err := client.Dial(t.Context(), f.Client, netip.Addr{}, v.at(configs.IPv4))
	must(t, err)
	var got bytes.Buffer
	_, err = s.Download(t.Context(), client.PASV, "told", &got)
	must(t, err)

	var sessions []struct {
		VIP, Backend, Client, User string
	}
	must(t, json.Unmarshal([]byte(f.do(t, "sessions", "-o", "json").Stdout), &sessions))
	if len(sessions) != 1 || sessions[0].VIP != v.Name || sessions[0].Client != s.Local().String() || sessions[0].User != "anonymous" {
		t.Errorf("sessions are %+v, want one of %s from %s", sessions, v.Name, s.Local())
	}
	var status struct {
		VIPs []struct {
			Backends []struct{ Connections int }
		}
		Helper struct{ Listening bool }
	}
	must(t, json.Unmarshal([]byte(f.do(t, "status", "-o", "json").Stdout), &status))
	connections := 0
	for _, b := range status.VIPs[0].Backends {
		connections += b.Connections
	}
	if connections != 1 || !status.Helper.Listening {
		t.Errorf("status shows %d control connections, helper listening %t", connections, status.Helper.Listening)
	}

	must(t, s.Close())
	line := f.logged(t, "session ended")
	for _, part := range []string{"vip=" + v.Name, "client=" + s.Local().String(), "user=anonymous", "pasv=1", "refused=0"} {
		if !strings.Contains(line, part) {
			t.Errorf("the line about the session's end lacks %q: %s", part, line)
		}
	}
	if strings.Contains(f.helper.Stderr(), s.Name()+"@") || strings.Contains(f.helper.Stderr(), "PASS") {
		t.Error("the log has something of a password")
	}
}

// logged waits for a line of the helper's log.
func (f *farm) logged(t *testing.T, message string) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		for line := range strings.Lines(f.helper.Stderr()) {
			if strings.Contains(line, message) {
				return line
			}
		}
	}
	t.Fatalf("the helper never logged %q", message)
	return ""
}

// TestAttacksGetAnError sends what opens holes elsewhere. Each is answered with an error at once, nothing connects to
// the victim, and the session goes on.
func TestAttacksGetAnError(t *testing.T) {
	f := newFarm(t, arrangement{})
	v := f.vips[0]
	conn, err := f.Client.Dial(t.Context(), netip.Addr{}, v.at(configs.IPv4))
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(60*time.Second)))
	text := textproto.NewConn(conn)
	reply := func(class int) string {
		t.Helper()
		code, message, err := text.ReadResponse(class)
		if err != nil {
			t.Fatalf("reply %d %q: %v", code, message, err)
		}
		return fmt.Sprint(code)
	}
	reply(220)
	must(t, text.PrintfLine("USER anonymous"))
	if code, message, err := text.ReadResponse(3); err == nil {
		must(t, text.PrintfLine("PASS x"))
		reply(230)
	} else if code != 230 {
		t.Fatalf("%d %s", code, message)
	}

	victim := f.Backends[1]
	named := strings.ReplaceAll(victim.Addrs.V4.String(), ".", ",")
	own := strings.ReplaceAll(f.ClientAddrs[0].V4.String(), ".", ",")
	attacks := []struct {
		name    string
		bytes   string
		replies int // how many lines the server reads
	}{
		{"bounce by PORT", "PORT " + named + ",200,10\r\n", 1},
		{"bounce by EPRT", "EPRT |1|" + victim.Addrs.V4.String() + "|51210|\r\n", 1},
		{"low port", "PORT " + own + ",0,22\r\n", 1},
		{"wrong family", "EPRT |2|" + victim.Addrs.V6.String() + "|51210|\r\n", 1},
		{"long address", "LPRT 4,4," + named + ",2,200,10\r\n", 1},
		{"behind a TLS record's byte", "\x16\r\nPORT " + named + ",200,10\r\n", 2},
		{"behind Telnet bytes", "\xff\xf4\xff\xf2PORT " + named + ",200,10\r\n", 1},
		{"zeroes", "PORT 0,0,0,0,200,10\r\n", 1},
		{"out of range", "PORT " + own + ",256,10\r\n", 1},
	}
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			_, err := conn.Write([]byte(a.bytes))
			must(t, err)
			for range a.replies {
				if code := reply(5); code < "500" {
					t.Errorf("reply %s", code)
				}
			}
		})
	}
	// One client's lines are not all logged, but all are counted.
	refused := uint64(0)
	for _, n := range f.figures(t).Refusals {
		refused += n
	}
	if refused < uint64(len(attacks)-2) || !strings.Contains(f.helper.Stderr(), "msg=refused") {
		t.Errorf("the helper counted %d refusals for %d attacks, two of which every server refuses itself", refused, len(attacks))
	}
	must(t, text.PrintfLine("NOOP"))
	reply(2)
}
