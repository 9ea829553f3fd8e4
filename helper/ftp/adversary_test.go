package ftp

import (
	"strings"
	"testing"
)

// The adversary suite: every known attack on an FTP gateway that a test
// without a wire can show.
func TestAdversary(t *testing.T) {
	refusedCommand := func(e Endpoints, p Policy, cmd string, why Reason) func(*testing.T) {
		return func(t *testing.T) {
			w := greeted(t, e, p)
			w.client(cmd)
			got := w.toBackend()
			sameLen(t, cmd, got)
			if got == cmd {
				t.Errorf("%q passed", cmd)
			}
			if isLegal(got) {
				t.Errorf("%q became %q, which a server may take", cmd, got)
			}
			w.wantRefused(why)
			w.wantNoneHeld()
			// The session goes on.
			w.server("500 no\r\n")
			w.epsv()
			w.server("229 ok (|||50000|)\r\n")
			w.wantOpened(1)
		}
	}
	refusedReply := func(e Endpoints, reply string, why Reason) func(*testing.T) {
		return func(t *testing.T) {
			w := greeted(t, e, Policy{})
			w.client("PASV\r\nEPSV\r\n")
			w.toBackend()
			w.toClient()
			w.server(reply)
			got := w.toClient()
			sameLen(t, reply, got)
			if !strings.HasPrefix(got, "425 ") {
				t.Errorf("%q became %q, want a negative reply", reply, got)
			}
			w.wantRefused(why)
		}
	}

	t.Run("bounce", refusedCommand(ends4(), Policy{}, "PORT 10,2,0,99,195,80\r\n", ReasonThirdParty))
	t.Run("bounce to the backend", refusedCommand(ends4(), Policy{}, "PORT 10,2,0,11,195,80\r\n", ReasonThirdParty))
	t.Run("bounce to loopback", refusedCommand(ends4(), Policy{}, "EPRT |1|127.0.0.1|5000|\r\n", ReasonThirdParty))
	t.Run("bounce v6", refusedCommand(ends6(), Policy{}, "EPRT |2|2001:db8:1::a|5000|\r\n", ReasonThirdParty))
	t.Run("bounce one-arm", refusedCommand(oneArm4(), Policy{}, "PORT 10,2,0,99,195,80\r\n", ReasonThirdParty))
	t.Run("low port", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9,0,22\r\n", ReasonLowPort))
	t.Run("low port EPRT", refusedCommand(ends4(), Policy{}, "EPRT |1|203.0.113.9|1023|\r\n", ReasonLowPort))
	t.Run("ports_min", refusedCommand(ends4(), Policy{PortsMin: 2000}, "EPRT |1|203.0.113.9|1999|\r\n", ReasonLowPort))
	t.Run("wrong family EPRT", refusedCommand(ends4(), Policy{}, "EPRT |2|2001:db8:1::9|5000|\r\n", ReasonFamily))
	t.Run("wrong family EPRT on v6", refusedCommand(ends6(), Policy{}, "EPRT |1|203.0.113.9|5000|\r\n", ReasonFamily))
	t.Run("PORT on v6", refusedCommand(ends6(), Policy{}, "PORT 203,0,113,9,195,80\r\n", ReasonFamily))
	t.Run("lying family EPRT", refusedCommand(ends4(), Policy{}, "EPRT |2|203.0.113.9|5000|\r\n", ReasonFamily))
	t.Run("IPv6 zone", refusedCommand(ends6(), Policy{}, "EPRT |2|2001:db8:1::9%eth0|5000|\r\n", ReasonMalformed))
	t.Run("IPv6 mapped", refusedCommand(ends4(), Policy{}, "EPRT |2|::ffff:203.0.113.9|5000|\r\n", ReasonFamily))
	t.Run("IPv6 mapped on v6", refusedCommand(ends6(), Policy{}, "EPRT |2|::ffff:203.0.113.9|5000|\r\n", ReasonFamily))
	t.Run("octal", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,011,195,80\r\n", ReasonThirdParty))
	t.Run("octal of somebody else", refusedCommand(ends4(), Policy{FXPAllow: true}, "PORT 198,51,100,011,195,80\r\n", ReasonAmbiguous))
	t.Run("octal EPRT", refusedCommand(ends4(), Policy{}, "EPRT |1|203.0.113.011|5000|\r\n", ReasonThirdParty))
	t.Run("octal EPRT port", refusedCommand(ends4(), Policy{FXPAllow: true}, "EPRT |1|198.51.100.1|05000|\r\n", ReasonAmbiguous))
	t.Run("oversized number", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,265,195,80\r\n", ReasonMalformed))
	t.Run("oversized port", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9,256,80\r\n", ReasonMalformed))
	t.Run("very oversized number", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,4294967305,195,80\r\n", ReasonMalformed))
	t.Run("oversized EPRT port", refusedCommand(ends4(), Policy{}, "EPRT |1|203.0.113.9|70000|\r\n", ReasonMalformed))
	t.Run("hex", refusedCommand(ends4(), Policy{}, "PORT 0xcb,0,113,9,195,80\r\n", ReasonMalformed))
	t.Run("negative", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9,-1,80\r\n", ReasonMalformed))
	t.Run("seven numbers", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9,195,80,1\r\n", ReasonMalformed))
	t.Run("five numbers", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9,195\r\n", ReasonMalformed))
	t.Run("trailing text", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9,195,80 10,2,0,99,0,22\r\n", ReasonMalformed))
	t.Run("0.0.0.0", refusedCommand(ends4(), Policy{}, "PORT 0,0,0,0,195,80\r\n", ReasonMalformed))
	t.Run("0.0.0.0 EPRT", refusedCommand(ends4(), Policy{}, "EPRT |1|0.0.0.0|5000|\r\n", ReasonMalformed))
	t.Run("port 0", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9,0,0\r\n", ReasonMalformed))
	t.Run("mixed delimiters", refusedCommand(ends4(), Policy{}, "EPRT |1|203.0.113.9!5000|\r\n", ReasonMalformed))
	t.Run("digit as delimiter", refusedCommand(ends4(), Policy{}, "EPRT 01020300501139050000\r\n", ReasonMalformed))
	t.Run("bare CR", refusedCommand(ends4(), Policy{}, "NOOP\rPORT 10,2,0,99,195,80\r\n", ReasonObscured))
	t.Run("bare CR after the verb", refusedCommand(ends4(), Policy{}, "PORT\r10,2,0,99,195,80\r\n", ReasonObscured))
	t.Run("bare CR in the numbers", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9,195,\r80\r\n", ReasonObscured))
	t.Run("NUL bytes", refusedCommand(ends4(), Policy{}, "PO\x00RT 10,2,0,99,195,80\r\n", ReasonObscured))
	t.Run("NUL before the verb", refusedCommand(ends4(), Policy{}, "\x00PORT 10,2,0,99,195,80\r\n", ReasonObscured))
	t.Run("NUL in the numbers", refusedCommand(ends4(), Policy{}, "PORT 203,0,113,9\x00,195,80\r\n", ReasonObscured))
	t.Run("blank before the verb", refusedCommand(ends4(), Policy{}, " PORT 10,2,0,99,195,80\r\n", ReasonObscured))
	t.Run("tab after the verb", refusedCommand(ends4(), Policy{}, "PORT\t10,2,0,99,195,80\r\n", ReasonObscured))
	t.Run("IAC within the verb", refusedCommand(ends4(), Policy{}, "PO\xff\xf1RT 10,2,0,99,195,80\r\n", ReasonObscured))
	t.Run("IAC eats a letter", refusedCommand(ends4(), Policy{}, "\xffPORT 10,2,0,99,195,80\r\n", ReasonObscured))
	t.Run("IAC option eats a letter", refusedCommand(ends4(), Policy{}, "\xff\xfdXPORT 10,2,0,99,195,80\r\n", ReasonThirdParty))
	t.Run("IAC option eats the verb's first letter", refusedCommand(ends4(), Policy{}, "\xff\xfdPORT 10,2,0,99,195,80\r\n", ReasonObscured))
	t.Run("LPRT", refusedCommand(ends4(), Policy{}, "LPRT 4,4,203,0,113,9,2,195,80\r\n", ReasonLongAddr))
	t.Run("LPSV", refusedCommand(ends4(), Policy{}, "LPSV\r\n", ReasonLongAddr))

	t.Run("227 foreign", refusedReply(ends4(), "227 Entering Passive Mode (10,2,0,12,195,80).\r\n", ReasonForeign))
	t.Run("227 loopback", refusedReply(ends4(), "227 Entering Passive Mode (127,0,0,1,195,80).\r\n", ReasonForeign))
	t.Run("227 low port", refusedReply(ends4(), "227 Entering Passive Mode (10,2,0,11,3,255).\r\n", ReasonLowPort))
	t.Run("227 port 0", refusedReply(ends4(), "227 Entering Passive Mode (10,2,0,11,0,0).\r\n", ReasonMalformed))
	t.Run("227 0.0.0.0", refusedReply(ends4(), "227 Entering Passive Mode (0,0,0,0,0,0).\r\n", ReasonMalformed))
	t.Run("227 oversized", refusedReply(ends4(), "227 Entering Passive Mode (10,2,0,267,195,80).\r\n", ReasonMalformed))
	t.Run("227 oversized port", refusedReply(ends4(), "227 Entering Passive Mode (10,2,0,11,256,80).\r\n", ReasonMalformed))
	t.Run("227 long number", refusedReply(ends4(), "227 Entering Passive Mode (0010,2,0,11,195,80).\r\n", ReasonMalformed))
	t.Run("227 seven numbers", refusedReply(ends4(), "227 Entering Passive Mode (1,10,2,0,11,195,80).\r\n", ReasonMalformed))
	t.Run("227 on v6", refusedReply(ends6(), "227 Entering Passive Mode (10,2,0,11,195,80).\r\n", ReasonFamily))
	t.Run("229 low port", refusedReply(ends4(), "229 Entering Extended Passive Mode (|||80|)\r\n", ReasonLowPort))
	t.Run("229 port 0", refusedReply(ends4(), "229 Entering Extended Passive Mode (|||0|)\r\n", ReasonMalformed))
	t.Run("229 oversized", refusedReply(ends4(), "229 Entering Extended Passive Mode (|||65536|)\r\n", ReasonMalformed))
	t.Run("229 mixed delimiters", refusedReply(ends4(), "229 Entering Extended Passive Mode (||!6446|)\r\n", ReasonMalformed))
	t.Run("229 with an address", refusedReply(ends4(), "229 Entering Extended Passive Mode (|1|10.2.0.12|6446|)\r\n", ReasonMalformed))
}

// TestTelnetEatsTheLineEnd: to a server that takes Telnet commands out before it looks for lines, IAC DO LF is a command.
func TestTelnetEatsTheLineEnd(t *testing.T) {
	for _, cmd := range []string{"P\xff\xfd\nORT 10,2,0,99,195,80\r\n", "PO\xff\nRT 10,2,0,99,195,80\r\n", "PORT \xff\xfb\n10,2,0,99,195,80\r\n"} {
		for i := range cmd {
			w := greeted(t, ends4(), Policy{})
			w.client(cmd[:i])
			w.client(cmd[i:])
			got := w.toBackend()
			sameLen(t, cmd, got)
			if strings.Contains(got, "10,2") {
				t.Errorf("cut at %d, %q passed", i, got)
			}
			w.wantOpened(0)
		}
	}
	w := greeted(t, ends4(), Policy{})
	w.client("CWD \xff\xff\r\n\xff\xff\nPORT 203,0,113,9,195,80\r\n") // a byte of data
	w.wantOpened(1)
}

// isLegal reports whether some server may take a line for PORT or EPRT.
func isLegal(line string) bool {
	for _, piece := range strings.FieldsFunc(line, func(r rune) bool { return r == '\r' || r == '\n' }) {
		p := strings.ToUpper(strings.TrimLeft(piece, " \x00"))
		if a, err := scanSix(strings.TrimPrefix(p, "PORT")); strings.HasPrefix(p, "PORT") && err == nil && a.Port() != 0 && !a.Addr().IsUnspecified() || strings.HasPrefix(p, "EPRT") && strings.Count(p, p[5:6]) == 4 {
			return true
		}
		if strings.HasPrefix(p, "LPSV") || strings.HasPrefix(p, "LPRT") && strings.Contains(p, ",") {
			return true
		}
	}
	return false
}
