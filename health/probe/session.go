package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"ftpvip/configs"
	"ftpvip/health/judge"
)

// session is the control connection of a probe that is a whole FTP client. Its errors are *trouble.
type session struct {
	ctx      context.Context
	t        Target
	conn     net.Conn
	r        *bufio.Reader
	password string
	tls      *tls.Config // nil: plain
	ends     []func()    // what end has to do, last first
}

// inSession runs f with a session that has got past its greeting and, where the pool wants that, TLS; then it says
// good-bye.
func inSession(ctx context.Context, t Target, f func(*session) error) judge.Result {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	start := time.Now()
	s := &session{ctx: ctx, t: t}
	defer s.end()
	err := s.open()
	if err == nil {
		err = f(s)
	}
	var r judge.Result
	if err != nil {
		if known, ok := errors.AsType[*trouble](err); ok {
			r = known.Result
		} else {
			r = judge.Fail(judge.StepLocal, err.Error(), err)
		}
	}
	r.Took = time.Since(start)
	if s.r != nil && !r.Inconclusive() {
		quit(ctx, s.conn)
	}
	return r
}

// open connects, greets, and starts TLS.
func (s *session) open() error {
	var err error
	if s.password, err = s.t.Spec.password(); err != nil {
		return failed(judge.StepLocal, fmt.Sprintf("the password cannot be read: %v", err), err)
	}
	if s.tls, err = s.t.Spec.tlsConfig(s.t.Addr.Addr()); err != nil {
		return failed(judge.StepLocal, fmt.Sprintf("the authorities cannot be read: %v", err), err)
	}
	conn, err := dial(s.ctx, s.t)
	if err != nil {
		return &trouble{explainDial(s.t, err)}
	}
	s.guard(conn)
	if s.t.Spec.Health.TLS.Mode == configs.TLSImplicit {
		if conn, err = s.secure(conn, "the control connection"); err != nil {
			return err
		}
	}
	s.use(conn)
	greeting, err := readReply(s.r)
	if err != nil {
		return &trouble{explainRead(s.t, s.masked(err))}
	}
	if r := judgeGreeting(greeting); !r.OK() {
		return &trouble{r}
	}
	if s.t.Spec.Health.TLS.Mode != configs.TLSExplicit {
		return nil
	}
	if _, err := s.command(judge.StepTLS, "AUTH TLS", 234); err != nil {
		return err
	}
	if s.r.Buffered() > 0 { // a man in the middle could have put it there
		return failed(judge.StepTLS, "the server says more in the clear after its reply to AUTH TLS", nil)
	}
	if conn, err = s.secure(conn, "the control connection"); err != nil {
		return err
	}
	s.use(conn)
	return nil
}

func (s *session) use(conn net.Conn) { s.conn, s.r = conn, bufio.NewReaderSize(conn, maxLine) }

// guard ends a connection with the session, and makes it fail when time is up.
func (s *session) guard(conn net.Conn) {
	if d, ok := s.ctx.Deadline(); ok {
		_ = conn.SetDeadline(d)
	}
	stop := context.AfterFunc(s.ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	s.ends = append(s.ends, func() { stop(); _ = conn.Close() })
}

func (s *session) end() {
	for _, end := range slices.Backward(s.ends) {
		end()
	}
}

// login gets the user in.
func (s *session) login() error {
	r, err := s.command(judge.StepLogin, "USER "+s.t.Spec.Health.User, 230, 331)
	if err != nil || r.code == 230 {
		return err
	}
	_, err = s.command(judge.StepLogin, "PASS "+s.password, 230, 202)
	return err
}

// settle says what a client says before its first transfer.
func (s *session) settle() error {
	if _, err := s.command(judge.StepSession, "TYPE I", 200); err != nil {
		return err
	}
	_, err := s.command(judge.StepSession, "PWD", 257)
	return err
}

// command sends a line and reads its reply, whose code has to be one of want; 1 stands for every 1xx, 2 for every 2xx.
// Errors name the verb alone, for what follows it may be a password.
func (s *session) command(step judge.Step, line string, want ...int) (reply, error) {
	verb, _, _ := strings.Cut(line, " ")
	if err := s.send(step, line); err != nil {
		return reply{}, err
	}
	return s.reply(step, verb, want...)
}

func (s *session) send(step judge.Step, line string) error {
	verb, _, _ := strings.Cut(line, " ")
	if _, err := io.WriteString(s.conn, line+"\r\n"); err != nil {
		return failed(step, s.explain(verb, err), err)
	}
	return nil
}

// reply reads the reply to what verb names.
func (s *session) reply(step judge.Step, verb string, want ...int) (reply, error) {
	r, err := readReply(s.r)
	if err != nil {
		return reply{}, failed(step, s.explain(verb, s.masked(err)), err)
	}
	r.text, r.last = s.mask(r.text), s.mask(r.last)
	for _, w := range want {
		if r.code == w || r.code/100 == w {
			return r, nil
		}
	}
	return r, failed(step, unwanted(step, verb, r), nil)
}

// unwanted words a reply that is not the one that was wanted.
func unwanted(step judge.Step, verb string, r reply) string {
	switch {
	case step == judge.StepLogin && r.code == 530:
		return fmt.Sprintf("login refused: the server answers %s with 530 %s", verb, r.quoted())
	case step == judge.StepLogin && r.code == 332:
		return "the server wants an account (ACCT), which this check does not give"
	case verb == "AUTH":
		return fmt.Sprintf("the server does not take up TLS: it answers AUTH TLS with %d %s", r.code, r.quoted())
	}
	return fmt.Sprintf("the server answers %s with %d %s", verb, r.code, r.quoted())
}

// explain words an error of the control connection after a command.
func (s *session) explain(verb string, err error) string {
	var broken *brokenReply
	switch {
	case isTimeout(err):
		return fmt.Sprintf("no answer to %s before the check's %v were over", verb, s.t.Timeout)
	case errors.Is(err, io.EOF):
		return "the server closed the connection instead of answering " + verb
	case errors.Is(err, io.ErrUnexpectedEOF) && errors.As(err, &broken):
		return fmt.Sprintf("the server closed the connection within its answer to %s; the last line is %s", verb, Quote(broken.got))
	case errors.Is(err, errNotReply) && errors.As(err, &broken):
		return fmt.Sprintf("the answer to %s is no FTP reply: %s", verb, Quote(broken.got))
	case errors.Is(err, errLineTooLong), errors.Is(err, errReplyTooLong):
		return fmt.Sprintf("the answer to %s is endless", verb)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the server reset the connection instead of answering " + verb
	}
	return fmt.Sprintf("%s: %v", verb, err)
}

// mask hides the password in a server's text: there are servers that repeat it.
func (s *session) mask(text string) string {
	if s.password == "" {
		return text
	}
	return strings.ReplaceAll(text, s.password, "***")
}

// masked is err with the same done to what had been received.
func (s *session) masked(err error) error {
	if broken, ok := errors.AsType[*brokenReply](err); ok {
		return &brokenReply{got: s.mask(broken.got), any: broken.any, err: broken.err}
	}
	return err
}
