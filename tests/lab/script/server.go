package script

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"

	"ftpvip/tests/lab"
)

// Greeting stands for the greeting where a verb is asked for.
const Greeting = ""

// Server says what a scripted server does. The zero value is a small server that behaves.
type Server struct {
	On      map[string][]Step // done at a verb instead of the usual
	Cuts    map[string]Cut    // how replies to a verb are sent
	Default Cut               // how all others are
	Inline  bool              // urgent data stays in the stream
	Content []byte            // what RETR sends
}

// Session is one control connection of a scripted server.
type Session struct {
	*End
	script Server
	host   *lab.Namespace
	ctx    context.Context
	done   chan struct{}

	speaking sync.Mutex

	mu       sync.Mutex
	data     []Data
	err      error
	verb     string           // of the line that is answered
	listener *net.TCPListener // where data connections come to
	target   netip.AddrPort   // or go to
	running  *transfer
}

// Data is one data connection of a server.
type Data struct {
	Verb     string         // RETR, STOR
	Peer     netip.AddrPort // the other end; invalid where it was not opened
	Received []byte
	Err      error
}

// Serve has a scripted server talk on a control connection that its host accepted, until the connection or ctx ends.
func (s Server) Serve(ctx context.Context, host *lab.Namespace, conn *net.TCPConn) *Session {
	e := &Session{script: s, host: host, ctx: ctx, done: make(chan struct{}), End: newEnd(conn)}
	go func() {
		err := e.serve()
		e.mu.Lock()
		defer e.mu.Unlock()
		e.err = err
		if e.listener != nil {
			_ = e.listener.Close()
		}
		close(e.done)
	}()
	return e
}

// Lines are the lines that the server has read, without their ends.
func (s *Session) Lines() []string {
	lines := strings.Split(s.Got(), "\n")
	lines = lines[:len(lines)-1]
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(line, "\r")
	}
	return lines
}

// Do runs a function with the session's context: for steps of a test's own.
func (s *Session) Do(f func(context.Context) error) error { return f(s.ctx) }

// Err is why the server stopped talking: nil while it talks, or if the client said goodbye or hung up.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *Session) serve() error {
	if s.script.Inline {
		if err := s.Inline(); err != nil {
			return err
		}
	}
	if err := s.act(Greeting, "", []Step{Say("220 scripted\r\n")}); err != nil {
		return err
	}
	for {
		line, err := s.nextLine()
		if errors.Is(err, io.EOF) {
			return nil
		}
		verb, argument, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		usual, known := usually[verb]
		if !known {
			usual = []Step{Say("500 not understood\r\n")}
		}
		if err := s.act(verb, argument, usual); err != nil || verb == "QUIT" {
			return err
		}
	}
}

// nextLine waits for a line as long as it takes: it is the client that loses patience. The error is io.EOF where no
// more lines will come.
func (s *Session) nextLine() (string, error) {
	for {
		line, err := s.ReadLine(s.ctx, "a command")
		switch {
		case err == nil:
			return strings.TrimLeftFunc(line, telnet), nil
		case s.over() || s.ctx.Err() != nil:
			return "", io.EOF
		}
	}
}

// telnet tells Telnet's bytes from others: IAC, IP, DM and their kind (RFC 854). As runes they are invalid UTF-8.
func telnet(r rune) bool { return r == '\uFFFD' }

// usually is what a server does that behaves.
var usually = map[string][]Step{
	"USER": {Say("331 password\r\n")},
	"PASS": {Say("230 welcome\r\n")},
	"TYPE": {Say("200 ok\r\n")},
	"NOOP": {Say("200 ok\r\n")},
	"PASV": {Listen(), Say("227 Entering Passive Mode ({227}).\r\n")},
	"EPSV": {Listen(), Say("229 Entering Extended Passive Mode (|||{229}|)\r\n")},
	"PORT": {Announced()},
	"EPRT": {Announced()},
	"RETR": {Transfer()},
	"STOR": {Transfer()},
	"ABOR": {Abort(), Say("226 nothing runs\r\n")},
	"QUIT": {Say("221 bye\r\n")},
}

// act does what the script has for a verb.
func (s *Session) act(verb, argument string, usual []Step) error {
	steps, ok := s.script.On[verb]
	if !ok {
		steps = usual
	}
	s.mu.Lock()
	s.verb = verb
	s.mu.Unlock()
	for _, step := range steps {
		if err := step(s, argument); err != nil {
			return err
		}
	}
	return nil
}

// reply sends a reply as the script cuts it. The end of a transfer is told while commands are answered.
func (s *Session) reply(verb, text string) error {
	c, ok := s.script.Cuts[verb]
	if !ok {
		c = s.script.Default
	}
	s.speaking.Lock()
	defer s.speaking.Unlock()
	return s.Say(s.ctx, text, c)
}
