package ftp

import (
	"bytes"
	"slices"
	"strings"
)

// Telnet bytes (RFC 854; RFC 959, section 4.1.3: ABOR is preceded by IP and Synch).
const (
	iac    = 0xff
	iacLow = 0xf0 // lowest command that may follow IAC
	iacOpt = 0xfb // from here on (WILL, WONT, DO, DONT) an option byte follows
)

// splitEnd returns a line without its end: LF, preceded by any number of CR.
func splitEnd(line []byte) []byte {
	n := len(line)
	if n > 0 && line[n-1] == '\n' {
		n--
	}
	for n > 0 && line[n-1] == '\r' {
		n--
	}
	return line[:n]
}

// verb is the first word of a command line, as a server may come to read it.
type verb struct {
	name  [5]byte // upper case; a fifth letter only says that there are more than four
	n     int     // letters in name
	start int     // where it starts
	end   int     // after its last letter
	ended bool    // something other than a letter follows
	clean bool    // nothing but whole Telnet commands before, nothing within
}

// is reports whether the whole verb is name.
func (v *verb) is(name string) bool { return v.n == len(name) && string(v.name[:v.n]) == name }

// may reports whether the verb is name, or may become it.
func (v *verb) may(name string) bool {
	if v.ended {
		return v.is(name)
	}
	return v.n <= len(name) && string(v.name[:v.n]) == name[:v.n]
}

// active reports whether the whole verb is one of the active ones.
func (v *verb) active() bool { return slices.ContainsFunc(active[:], v.is) }

// scanVerb finds the verb of a line. Servers differ in what they skip: with
// telnet set, IAC sequences are skipped as RFC 854 has them; without, every
// byte that is not graphic ASCII is skipped by itself.
func scanVerb(line []byte, telnet bool) verb {
	v := verb{clean: true}
	for i := 0; i < len(line); {
		c := line[i]
		switch {
		case telnet && c == iac:
			n := 2
			if i+1 < len(line) && line[i+1] >= iacOpt && line[i+1] != iac {
				n = 3
			}
			if i+1 < len(line) && (line[i+1] < iacLow || line[i+1] == iac) || v.n > 0 {
				v.clean = false
			}
			i += n
			continue
		case isLetter(c):
			if v.n == 0 {
				v.start = i
			}
			if v.n < len(v.name) {
				v.name[v.n] = c &^ 0x20
				v.n++
			}
			i++
			v.end = i
			continue
		case c > ' ' && c < 0x7f, c == ' ' && v.n > 0, c == '\t' && v.n > 0:
			v.ended = true
			if v.n == 0 {
				v.end = i
			}
			return v
		}
		// Blanks before the verb, controls, and bytes beyond ASCII.
		v.clean = false
		i++
	}
	return v
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// active are the verbs that must never pass unread.
var active = [...]string{"PORT", "EPRT", "LPRT", "LPSV"}

// maxPieces bounds the bare CRs that are looked behind in one line: one with more is no honest command.
const maxPieces = 8

// mayBeActive reports whether some server may read one of the active verbs out
// of the line, or out of what the line may become. The line has no end yet,
// or has lost it.
func mayBeActive(line []byte) bool {
	return mayHide(line) || bytes.IndexByte(line, iac) >= 0 && mayHide(withoutTelnet(line))
}

func mayHide(line []byte) bool {
	for range maxPieces {
		for _, telnet := range [...]bool{true, false} {
			v := scanVerb(line, telnet)
			if v.n == 0 {
				continue
			}
			for _, name := range active {
				if v.may(name) {
					return true
				}
			}
		}
		// A bare CR ends a line for some (RFC 854 wants CR NUL for a lone CR).
		i := bytes.IndexByte(line, '\r')
		if i < 0 {
			return false
		}
		line = line[i+1:]
	}
	return true
}

// isActive is mayBeActive for a whole line.
func isActive(content []byte) bool {
	return hides(content) || bytes.IndexByte(content, iac) >= 0 && hides(withoutTelnet(content))
}

func hides(content []byte) bool {
	for {
		piece, rest, more := bytes.Cut(content, []byte{'\r'})
		for _, telnet := range [...]bool{true, false} {
			v := scanVerb(piece, telnet)
			for _, name := range active {
				if v.is(name) {
					return true
				}
			}
		}
		if !more {
			return false
		}
		content = rest
	}
}

// withoutTelnet is a line without Telnet commands, of which CR may be a part: then it ends nothing.
func withoutTelnet(line []byte) []byte {
	b := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] != iac:
			b = append(b, line[i])
		case i+1 < len(line) && line[i+1] >= iacOpt && line[i+1] != iac:
			i += 2
		default:
			i++
		}
	}
	return b
}

// verbUnknown reports whether a line has no verb yet, only bytes that some server skips.
func verbUnknown(line []byte) bool {
	a, b := scanVerb(line, true), scanVerb(line, false)
	return !a.ended && a.n == 0 || !b.ended && b.n == 0
}

// command returns the Command of a clean verb.
func (v *verb) command() Command {
	switch string(v.name[:v.n]) {
	case "PASV", "CPSV": // CPSV (FXP over TLS) is answered with a 227 as well
		return CmdPASV
	case "EPSV":
		return CmdEPSV
	case "PORT":
		return CmdPORT
	case "EPRT":
		return CmdEPRT
	case "LPRT":
		return CmdLPRT
	case "LPSV":
		return CmdLPSV
	case "AUTH":
		return CmdAUTH
	case "USER":
		return CmdUSER
	}
	return CmdOther
}

// replyCode reads "ddd" and what follows it: ' ' (also for the end of the line) or '-' (RFC 959, section 4.2).
func replyCode(line []byte) (code int, sep byte, ok bool) {
	if len(line) < 3 || line[0] < '1' || line[0] > '6' || !isDigit(line[1]) || !isDigit(line[2]) {
		return 0, 0, false
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 || line[3] == '\r' || line[3] == '\n' {
		return code, ' ', true
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, 0, false
	}
	return code, line[3], true
}

// looseCode is replyCode for a 227, 228 or 229 with another character behind it, neither letter nor digit. Servers do not say
// that, but clients that look at three bytes take it for a reply (Python's ftplib).
func looseCode(line []byte) (code int, sep byte, ok bool) {
	if len(line) < 4 || isLetter(line[3]) || isDigit(line[3]) {
		return 0, 0, false
	}
	code, _, ok = replyCode(line[:3])
	return code, ' ', ok && namesPort(code)
}

// startsLine reports whether b looks like the start of a line from dir, or of a TLS record.
func startsLine(dir Direction, b []byte) bool {
	if tlsRecord(b) {
		return true
	}
	if dir == FromServer {
		_, _, ok := replyCode(b)
		return ok
	}
	v := scanVerb(splitEnd(b), true)
	return v.clean && v.n >= 3 && v.n <= 4 && knownVerb(strings.ToUpper(string(b[v.start:v.end])))
}

// plausible reports whether b starts with a whole line that looks like FTP from dir.
func plausible(dir Direction, b []byte) bool {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return false
	}
	content := splitEnd(b[:i+1])
	if dir == FromServer {
		_, _, ok := replyCode(content)
		return ok && printable(content)
	}
	v := scanVerb(content, true)
	if !v.clean || v.n < 3 || v.n > 4 || !printable(content[v.start:]) {
		return false
	}
	return v.end == len(content) || content[v.end] == ' '
}

// plainText reports whether a whole segment is FTP in the clear, so surely that
// no piece of a TLS record is taken for it.
func plainText(dir Direction, b []byte) bool {
	if len(b) == 0 || b[len(b)-1] != '\n' || !plausible(dir, b) {
		return false
	}
	for _, c := range b {
		if c < ' ' && c != '\r' && c != '\n' && c != '\t' {
			return false
		}
	}
	if dir == FromServer {
		return true
	}
	v := scanVerb(b, true)
	return knownVerb(string(v.name[:v.n]))
}

// knownVerb lists what a client says in the clear (RFC 5797), AUTH excepted:
// that is what opened the encrypted part.
func knownVerb(s string) bool {
	switch s {
	case "ABOR", "ACCT", "ALLO", "APPE", "CDUP", "CLNT", "CWD", "DELE", "EPRT", "EPSV", "FEAT", "HASH", "HELP",
		"HOST", "LANG", "LIST", "LPRT", "LPSV", "MDTM", "MFMT", "MKD", "MLSD", "MLST", "MODE", "NLST", "NOOP",
		"OPTS", "PASS", "PASV", "PBSZ", "PORT", "PRET", "PROT", "PWD", "QUIT", "REIN", "REST", "RETR", "RMD",
		"RNFR", "RNTO", "SITE", "SIZE", "SMNT", "STAT", "STOR", "STOU", "STRU", "SYST", "TYPE", "USER",
		"XCUP", "XCWD", "XMKD", "XPWD", "XRMD":
		return true
	}
	return false
}

func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
