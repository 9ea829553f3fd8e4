package ftp

// Verb is a command as statistics name it. Unlike a Command it changes nothing of what the engine does.
type Verb uint8

// verbNames are the verbs that are counted by name; all others are VerbOther. None has more than four letters.
var verbNames = [...]string{
	"other", "ABOR", "ALLO", "APPE", "AUTH", "CCC", "CDUP", "CWD", "DELE", "EPRT", "EPSV", "FEAT", "HELP", "HOST", "LANG",
	"LIST", "LPRT", "LPSV", "MDTM", "MKD", "MLSD", "MLST", "MODE", "NLST", "NOOP", "OPTS", "PASS", "PASV", "PBSZ", "PORT",
	"PROT", "PWD", "QUIT", "REIN", "REST", "RETR", "RMD", "RNFR", "RNTO", "SITE", "SIZE", "STAT", "STOR", "STOU", "STRU",
	"SYST", "TYPE", "USER", "XCRC", "XPWD",
}

// How many verbs there are, and the one for all that have no name here.
const (
	VerbOther Verb = 0
	NumVerbs       = len(verbNames)
)

// verbs finds a verb by its letters, packed by pack.
var verbs = func() map[uint32]Verb {
	m := make(map[uint32]Verb, NumVerbs)
	for i, name := range verbNames[1:] {
		m[pack([]byte(name))] = Verb(i + 1)
	}
	return m
}()

func pack(name []byte) (w uint32) {
	for _, c := range name {
		w = w<<8 | uint32(c)
	}
	return w
}

// VerbOf finds a verb by its name, in upper case.
func VerbOf(name string) Verb {
	if len(name) > 4 {
		return VerbOther
	}
	return verbs[pack([]byte(name))]
}

// String returns the verb in upper case, or "other".
func (v Verb) String() string {
	if int(v) < NumVerbs {
		return verbNames[v]
	}
	return verbNames[VerbOther]
}

// counted is the Verb of a whole command line.
func (v *verb) counted(line []byte) Verb {
	if !v.clean || v.n > 4 || v.end < len(line) && line[v.end] != ' ' {
		return VerbOther
	}
	return verbs[pack(v.name[:v.n])]
}

// commanded counts a command line and reports it.
func (s *Session) commanded(v Verb) {
	s.stats.Commands++
	s.event(Event{Kind: EventCommand, Dir: FromClient, Verb: v})
}

// farewell reports that a server takes its leave: 221 answers QUIT, 421 says that it gives up (RFC 959, section 4.2.2).
func (s *Session) farewell(code int) {
	switch code {
	case 221:
		s.event(Event{Kind: EventGoodbye, Dir: FromServer})
	case 421:
		s.event(Event{Kind: EventGivesUp, Dir: FromServer})
	}
}
