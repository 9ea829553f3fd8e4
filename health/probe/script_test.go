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
	"ftpvip/health/judge"
)

// script answers each verb with a text; "" is silence, "close" closes.
type script map[string]string

// friendly is a server that lets everybody in.
var friendly = script{
	"": "220 ready\r\n", "USER": "331 password?\r\n", "PASS": "230 in\r\n", "TYPE": "200 ok\r\n", "PWD": "257 \"/\"\r\n", "QUIT": "221 bye\r\n",
}

func (s script) handle(c net.Conn) {
	_, _ = io.WriteString(c, s[""])
	for lines := bufio.NewScanner(c); lines.Scan(); {
		verb, _, _ := strings.Cut(lines.Text(), " ")
		if s[verb] == "close" {
			return
		}
		_, _ = io.WriteString(c, s[verb])
	}
}

func (s script) with(verb, answer string) script {
	next := script{verb: answer}
	for k, v := range s {
		if k != verb {
			next[k] = v
		}
	}
	return next
}

// portText is the last two numbers of a reply to PASV.
func portText(at netip.AddrPort) string { return fmt.Sprintf("%d,%d", at.Port()>>8, at.Port()&255) }

// TestScripts has servers that fail at each step. Every reason names the step in plain words, within the time-out, and no
// reason has the password in it.
func TestScripts(t *testing.T) {
	deaf, closed := deafPort(t), closedPort(t, "127.0.0.1")
	passive := func(at netip.AddrPort) script {
		return friendly.with("PASV", "227 Entering Passive Mode (127,0,0,1,"+portText(at)+").\r\n")
	}
	open := serve(t, "127.0.0.1", say("data"))
	tests := []struct {
		name   string
		script script
		modes  string
		step   judge.Step
		reason string
	}{
		{"banner 421", friendly.with("", "421 full\r\n"), "pasv", judge.StepBanner, `the server takes no sessions now: it says 421 "full"`},
		{"silence after USER", friendly.with("USER", ""), "pasv", judge.StepLogin, "no answer to USER before the check's 300ms were over"},
		{"refused", friendly.with("PASS", "530 no, hunter2 is wrong\r\n"), "pasv", judge.StepLogin, `login refused: the server answers PASS with 530 "no, *** is wrong"`},
		{"closed", friendly.with("PASS", "close"), "pasv", judge.StepLogin, "the server closed the connection instead of answering PASS"},
		{"half an answer", friendly.with("PASS", "230-hunter2"), "pasv", judge.StepLogin, "no answer to PASS before the check's 300ms were over"},
		{"garbage", friendly.with("PASS", "PASS hunter2?\r\n"), "pasv", judge.StepLogin, `the answer to PASS is no FTP reply: "PASS ***?"`},
		{"account", friendly.with("PASS", "332 account?\r\n"), "pasv", judge.StepLogin, "the server wants an account (ACCT), which this check does not give"},
		{"421 within", friendly.with("TYPE", "421 shutting down\r\n"), "pasv", judge.StepSession, `the server answers TYPE with 421 "shutting down"`},
		{"PASV unknown", friendly.with("PASV", "502 no\r\n"), "pasv", judge.StepData, `the server answers PASV with 502 "no"`},
		{"PASV without numbers", friendly.with("PASV", "227 ok\r\n"), "pasv", judge.StepData, `pasv: the reply names no address and port: 227 "ok"`},
		{"PASV names another", friendly.with("PASV", "227 (172,17,0,2,4,1)\r\n"), "pasv", judge.StepData, "pasv: the reply names 172.17.0.2, which is none of the server's addresses"},
		{"EPSV without a port", friendly.with("EPSV", "229 (||||)\r\n"), "epsv", judge.StepData, `epsv: the reply names no port: 229 "(||||)"`},
		{"data dropped", passive(deaf), "pasv", judge.StepData, "no answer before the check's 300ms were over: a firewall drops it; let the server's passive ports in"},
		{"data refused", passive(closed), "pasv", judge.StepData, "refused: a firewall rejects it, or the server announces a port that it does not listen on"},
		{"425", passive(open).with("LIST", "425 cannot\r\n"), "pasv", judge.StepData, `pasv: the server cannot open the data connection: it says 425 "cannot"`},
		{"550", passive(open).with("LIST", "550 hunter2\r\n"), "pasv", judge.StepTransfer, `the server answers pasv: LIST with 550 "***"`},
		{"426 at the end", passive(serve(t, "127.0.0.1", sayAndClose("x"))).with("LIST", "150 go\r\n426 aborted\r\n"), "pasv", judge.StepTransfer, `with 426 "aborted"`},
		{"data stop", passive(serve(t, "127.0.0.1", say("x"))).with("LIST", "150 go\r\n"), "pasv", judge.StepTransfer, "pasv: LIST: the data stop after 1 bytes: nothing more before the check's 300ms were over"},
		{"no connection back", friendly.with("PORT", "200 ok\r\n").with("LIST", "150 go\r\n"), "port", judge.StepData, "port: the server does not connect to 127.0.0.1:"},
		{"no connection back, silent", friendly.with("EPRT", "200 ok\r\n"), "eprt", judge.StepData, "eprt: the server does not connect to 127.0.0.1:"},
		{"425 to active", friendly.with("PORT", "200 ok\r\n").with("LIST", "425 blocked\r\n"), "port", judge.StepData, `have to let it; it says 425 "blocked"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := transferHealth()
			h.Modes = []configs.DataMode{configs.DataMode(tt.modes)}
			if strings.Contains(tt.reason, "300ms") || strings.Contains(tt.reason, "does not connect") {
				h.Timeout = 300 * time.Millisecond
			}
			start := time.Now()
			r := FTPTransfer(t.Context(), targetOf(serve(t, "127.0.0.1", tt.script.handle), h))
			if d := time.Since(start); d > h.Timeout+time.Second {
				t.Errorf("took %v with a timeout of %v", d, h.Timeout)
			}
			if r.Step != tt.step || !strings.Contains(r.Reason, tt.reason) {
				t.Errorf("%s: %s\nwant %s: %s", r.Step, r.Reason, tt.step, tt.reason)
			}
			if strings.Contains(r.Reason, secret) || r.Err != nil && strings.Contains(r.Err.Error(), secret) {
				t.Errorf("the password is in %s: %v", r.Reason, r.Err)
			}
		})
	}
}

func TestAuthRefused(t *testing.T) {
	h := transferHealth()
	h.TLS.Mode = configs.TLSExplicit
	r := FTPLogin(t.Context(), targetOf(serve(t, "127.0.0.1", friendly.with("AUTH", "502 what?\r\n").handle), h))
	if r.Step != judge.StepTLS || r.Reason != `the server does not take up TLS: it answers AUTH TLS with 502 "what?"` {
		t.Errorf("%s: %s", r.Step, r.Reason)
	}
	r = FTPLogin(t.Context(), targetOf(serve(t, "127.0.0.1", friendly.with("AUTH", "234 go\r\n230 injected\r\n").handle), h))
	if r.Step != judge.StepTLS || !strings.Contains(r.Reason, "says more in the clear") {
		t.Errorf("%s: %s", r.Step, r.Reason)
	}
}

// TestNoSecretOnTheWireBeforeTLS: a server that refuses AUTH TLS never gets USER or PASS.
func TestNoSecretOnTheWireBeforeTLS(t *testing.T) {
	got := make(chan string, 1)
	h := transferHealth()
	h.TLS.Mode = configs.TLSExplicit
	at := serve(t, "127.0.0.1", func(c net.Conn) {
		_, _ = io.WriteString(c, "220 ready\r\n")
		b := make([]byte, 512)
		n, _ := c.Read(b)
		_, _ = io.WriteString(c, "502 no\r\n")
		m, _ := c.Read(b[n:])
		got <- string(b[:n+m])
	})
	FTPLogin(t.Context(), targetOf(at, h))
	if s := <-got; s != "AUTH TLS\r\nQUIT\r\n" {
		t.Errorf("the server saw %q", s)
	}
}
