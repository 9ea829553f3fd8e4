package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"ftpvip/tests/lab"
)

const (
	patience = 2 * time.Second        // for a first reply
	quiet    = 300 * time.Millisecond // for more of them
)

// result is what a server did with one line.
type result struct {
	Line    string
	Codes   []string // of the replies to it
	NOOP    bool     // was answered, by the number of replies that it should have
	Late    int      // replies to the line that came after NOOP's
	List    []string // replies to the LIST after it
	Slow    bool     // LIST's last reply took longer than patience
	Calls   []string // where the server opened connections to, at LIST
	Own     bool     // one went to the client's end of the control connection: the default of RFC 959, section 3.2
	Usual   bool     // LIST drew what it draws without a line before it
	Trouble string   // the session could not be carried through
}

// class says in a word whether this is what a refusal should draw.
func (r result) class() string {
	switch {
	case len(r.Calls) > 0:
		return "CALLS " + strings.Join(r.Calls, " ")
	case r.Trouble != "":
		return r.Trouble
	case len(r.Codes) == 0 && r.Late == 0:
		return "no reply"
	case len(r.Codes)+r.Late > 1:
		return fmt.Sprintf("%d replies", len(r.Codes)+r.Late)
	case !r.NOOP:
		return "no reply to NOOP"
	case len(r.Codes) == 0:
		return "a reply after patience"
	case r.Codes[0][0] < '4':
		return r.Codes[0]
	case r.Slow && !r.Usual:
		return "LIST waits"
	}
	return "ok " + r.Codes[0]
}

// session is a control connection.
type session struct {
	net.Conn
	r *bufio.Reader
}

var errSilent = errors.New("no reply")

// reply reads one reply, with all its lines.
func (s *session) reply(wait time.Duration) (code string, err error) {
	if err := s.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return "", err
	}
	for {
		line, err := s.r.ReadString('\n')
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return "", errSilent
		case err != nil:
			return "", err
		}
		line = strings.TrimRight(line, "\r\n")
		if code == "" && len(line) >= 3 {
			code = line[:3]
		}
		if len(line) == 3 && line == code || len(line) > 3 && line[:4] == code+" " {
			return code, nil
		}
	}
}

// replies reads until nothing more comes.
func (s *session) replies() (codes []string, err error) {
	for wait := patience; ; wait = quiet {
		code, err := s.reply(wait)
		switch {
		case errors.Is(err, errSilent):
			return codes, nil
		case err != nil:
			return codes, err
		}
		codes = append(codes, code)
	}
}

func (s *session) send(text string) error {
	_, err := s.Write([]byte(text))
	return err
}

// login dials and logs in.
func login(ctx context.Context, l *lab.Lab, to netip.AddrPort) (*session, error) {
	c, err := l.Client.Dial(ctx, l.ClientAddrs[0].Of(4), to)
	if err != nil {
		return nil, err
	}
	s := &session{Conn: c, r: bufio.NewReader(c)}
	for _, step := range []struct{ line, want string }{{"", "220"}, {"USER anonymous\r\n", ""}, {"PASS lab@example.org\r\n", "230"}} {
		if err := s.send(step.line); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		code, err := s.reply(10 * time.Second)
		if err == nil && step.want == "" && code == "230" {
			break
		}
		if err == nil && step.want != "" && code != step.want {
			err = fmt.Errorf("%q drew %s", step.line, code)
		}
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return s, nil
}

// isDefault reports whether to is where a server connects to that was told nothing: the client's end of the control
// connection, in ProFTPD the port below it.
func isDefault(to string, client net.Addr) bool {
	at := client.(*net.TCPAddr).AddrPort()
	return to == at.String() || to == netip.AddrPortFrom(at.Addr(), at.Port()-1).String()
}

// endure sends a spoilt command before the log-in, and many after it. It says what is wrong with the answers.
func (s *subject) endure(ctx context.Context, l *lab.Lab, line string) string {
	const times = 20
	c, err := l.Client.Dial(ctx, l.ClientAddrs[0].Of(4), s.at)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	early := &session{Conn: c, r: bufio.NewReader(c)}
	_, err = early.reply(10 * time.Second)
	if err := errors.Join(err, early.send(line)); err != nil {
		return err.Error()
	}
	if codes, err := early.replies(); err != nil || len(codes) != 1 || codes[0][0] < '4' {
		return fmt.Sprintf("before the log-in: %v %v", codes, err)
	}
	late, err := login(ctx, l, s.at)
	if err != nil {
		return err.Error()
	}
	defer late.Close()
	for i := range times {
		if err := late.send(line); err != nil {
			return fmt.Sprintf("time %d: %v", i+1, err)
		}
		if code, err := late.reply(10 * time.Second); err != nil || code[0] < '4' {
			return fmt.Sprintf("time %d: %s %v", i+1, code, err)
		}
	}
	if err := late.send("NOOP\r\n"); err != nil {
		return err.Error()
	}
	if codes, err := late.replies(); err != nil || len(codes) != 1 || codes[0][0] != '2' {
		return fmt.Sprintf("NOOP after %d times: %v %v", times, codes, err)
	}
	return ""
}

// try sends one line on a connection of its own, then NOOP, then LIST.
func (s *subject) try(ctx context.Context, l *lab.Lab, line string) (r result) {
	r.Line = line
	c, err := login(ctx, l, s.at)
	if err != nil {
		r.Trouble = "log-in: " + err.Error()
		return r
	}
	defer c.Close()
	defer func() {
		calls, err := s.calls(ctx)
		if err != nil {
			r.Trouble = err.Error()
		}
		for _, to := range calls {
			if isDefault(to, c.LocalAddr()) {
				r.Own = true
			} else {
				r.Calls = append(r.Calls, to)
			}
		}
	}()
	if err := c.send(line); err != nil {
		r.Trouble = "closed"
		return r
	}
	if r.Codes, err = c.replies(); err != nil {
		r.Trouble = "closed"
		return r
	}
	if err := c.send("NOOP\r\n"); err != nil {
		r.Trouble = "closed"
		return r
	}
	noop, err := c.replies()
	if err != nil {
		r.Trouble = "closed"
		return r
	}
	r.NOOP = len(noop) > 0 && noop[len(noop)-1][0] == '2'
	r.Late = max(len(noop)-1, 0)
	if err := c.send("LIST\r\n"); err != nil {
		r.Trouble = "closed"
		return r
	}
	start := time.Now()
	for len(r.List) == 0 || r.List[len(r.List)-1][0] == '1' {
		code, err := c.reply(patience)
		if err != nil {
			r.Slow = true
			break
		}
		r.List = append(r.List, code)
	}
	r.Slow = r.Slow || time.Since(start) > patience
	r.Usual = r.Slow == s.usual.Slow && slices.Equal(r.List, s.usual.List)
	return r
}
