package helper

import (
	"bytes"

	"ftpvip/helper/journal"
)

// verb is a command for statistics; the engine reads commands by itself, and knows better.
type verb uint8

// verbNames are the verbs that are counted by name; all others are verbOther.
var verbNames = [...]string{
	"other", "ABOR", "ALLO", "APPE", "AUTH", "CCC", "CDUP", "CWD", "DELE", "EPRT", "EPSV", "FEAT", "HELP", "HOST", "LANG",
	"LIST", "LPRT", "LPSV", "MDTM", "MKD", "MLSD", "MLST", "MODE", "NLST", "NOOP", "OPTS", "PASS", "PASV", "PBSZ", "PORT",
	"PROT", "PWD", "QUIT", "REIN", "REST", "RETR", "RMD", "RNFR", "RNTO", "SITE", "SIZE", "STAT", "STOR", "STOU", "STRU",
	"SYST", "TYPE", "USER", "XCRC", "XPWD",
}

const (
	verbOther verb = 0
	numVerbs       = len(verbNames)
)

// verbs finds a verb by its letters, packed by wordOf.
var verbs = func() map[uint32]verb {
	m := make(map[uint32]verb, numVerbs)
	for i, name := range verbNames[1:] {
		m[wordOf([]byte(name))] = verb(i + 1)
	}
	return m
}()

// wordOf packs the first word of a line, if it has four letters at most, in upper case; else it returns 0.
func wordOf(line []byte) (w uint32) {
	for i, c := range line {
		switch {
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case 'A' <= c && c <= 'Z':
		case i > 0 && (c == ' ' || c == '\r' || c == '\n'):
			return w
		default:
			return 0
		}
		if i == 4 {
			return 0
		}
		w = w<<8 | uint32(c)
	}
	return w
}

// verbOf is the verb that a line begins with. A line whose beginning came in an earlier segment has none.
func verbOf(line []byte) verb { return verbs[wordOf(line)] }

// directionOf is where the data goes that a verb asks for.
func directionOf(v verb) journal.Direction {
	switch verbNames[v] {
	case "RETR":
		return journal.Download
	case "STOR", "STOU", "APPE":
		return journal.Upload
	case "LIST", "NLST", "MLSD":
		return journal.Listing
	}
	return journal.Unknown
}

// farewell says how a server's segment ends the session, if it does: 221 answers QUIT, 421 says that the server gives
// up (RFC 959, section 4.2.2).
func farewell(payload []byte) ending {
	line := bytes.TrimRight(payload, "\r\n")
	if i := bytes.LastIndexByte(line, '\n'); i >= 0 {
		line = line[i+1:]
	}
	if len(line) < 3 || len(line) > 3 && line[3] != ' ' {
		return endNone
	}
	switch string(line[:3]) {
	case "221":
		return endQuit
	case "421":
		return endServer
	}
	return endNone
}
