package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"os"
	"strings"

	"ftpvip/configs"
	"ftpvip/health/judge"
)

// storeSize is how many bytes are stored: more than one segment.
const storeSize = 4 << 10

// FTPTransfer is the probe of the check "ftp-transfer": after the login, a listing or file comes over a data connection of
// each mode, and a file may be stored, read back and deleted.
func FTPTransfer(ctx context.Context, t Target) judge.Result {
	return inSession(ctx, t, func(s *session) error {
		if err := s.login(); err != nil {
			return err
		}
		if err := s.settle(); err != nil {
			return err
		}
		if err := s.protect(); err != nil {
			return err
		}
		modes := s.modes()
		for _, m := range modes {
			if err := s.fetch(m); err != nil {
				return err
			}
		}
		if s.t.Spec.Health.Store == "" || len(modes) == 0 {
			return nil
		}
		return s.storeAndBack(modes[0])
	})
}

// modes lists those of the pool's modes that the address's family knows.
func (s *session) modes() []configs.DataMode {
	var modes []configs.DataMode
	for _, m := range s.t.Spec.Health.Modes {
		if m.Speaks(configs.FamilyOf(s.t.Addr.Addr())) {
			modes = append(modes, m)
		}
	}
	return modes
}

// protect asks for TLS on data connections (RFC 4217 section 9).
func (s *session) protect() error {
	if s.tls == nil {
		return nil
	}
	for _, line := range []string{"PBSZ 0", "PROT P"} {
		if _, err := s.command(judge.StepTLS, line, 200); err != nil {
			return err
		}
	}
	return nil
}

// fetch lists or retrieves the path over one mode.
func (s *session) fetch(mode configs.DataMode) error {
	h := s.t.Spec.Health
	if h.Path == "" || strings.HasSuffix(h.Path, "/") {
		_, err := s.transfer(mode, strings.TrimSuffix("LIST "+h.Path, " "), io.Discard, nil)
		return err
	}
	sum := sha256.New()
	n, err := s.transfer(mode, "RETR "+h.Path, sum, nil)
	switch got := hex.EncodeToString(sum.Sum(nil)); {
	case err != nil:
		return err
	case h.Size != 0 && n != h.Size:
		return failed(judge.StepContent, fmt.Sprintf("%s: the file %s has %d bytes, not %d", mode, Quote(h.Path), n, h.Size), nil)
	case h.SHA256 != "" && got != h.SHA256:
		return failed(judge.StepContent, fmt.Sprintf("%s: the file %s is another one: its SHA-256 is %s", mode, Quote(h.Path), got), nil)
	}
	return nil
}

// storeAndBack stores a file, reads it back and deletes it.
func (s *session) storeAndBack(mode configs.DataMode) error {
	name := s.storeName()
	content := make([]byte, storeSize)
	_, _ = rand.Read(content) // never fails
	if _, err := s.transfer(mode, "STOR "+name, nil, content); err != nil {
		return asStore(err)
	}
	var back bytes.Buffer
	_, err := s.transfer(mode, "RETR "+name, &back, nil)
	if err == nil && !bytes.Equal(back.Bytes(), content) {
		err = failed(judge.StepStore, fmt.Sprintf("%s: the file %s comes back as another one: %d bytes of %d", mode, Quote(name), back.Len(), len(content)), nil)
	}
	if _, e := s.command(judge.StepStore, "DELE "+name, 2); err == nil {
		err = e
	}
	return asStore(err)
}

// asStore makes a trouble with a transfer one of the store step, for there the path is another one.
func asStore(err error) error {
	if known, ok := errors.AsType[*trouble](err); ok && (known.Step == judge.StepTransfer || known.Step == judge.StepContent) {
		known.Step = judge.StepStore
	}
	return err
}

// storeName is a name that no other box, pool or family uses at the same time, and always the same here: a check that was
// cut off leaves one file, which the next one overwrites.
func (s *session) storeName() string {
	host, _ := os.Hostname() // without one, boxes without names share a name
	h := fnv.New32a()
	_, _ = fmt.Fprint(h, host, "/", s.t.Spec.Pool, "/", configs.FamilyOf(s.t.Addr.Addr()))
	return fmt.Sprintf("%s-%08x", s.t.Spec.Health.Store, h.Sum32())
}

// transfer sends one command that uses a data connection: content goes to the server, or what comes goes to w. It
// returns the number of bytes that came.
func (s *session) transfer(mode configs.DataMode, line string, w io.Writer, content []byte) (int64, error) {
	ch, err := s.channel(mode)
	if err != nil {
		return 0, err
	}
	verb, _, _ := strings.Cut(line, " ")
	what := fmt.Sprintf("%s: %s", mode, verb)
	if err := s.send(judge.StepTransfer, line); err != nil {
		return 0, err
	}
	r, err := s.reply(judge.StepTransfer, what, 1)
	if err != nil {
		return 0, ch.blame(r, err)
	}
	conn, err := ch.connect()
	if err != nil {
		return 0, err
	}
	if s.tls != nil {
		if conn, err = s.secure(conn, string(mode)+": the data connection"); err != nil {
			return 0, err
		}
	}
	n, err := move(conn, w, content)
	if err != nil {
		return n, failed(judge.StepTransfer, fmt.Sprintf("%s: the data stop after %d bytes: %s", what, n, s.explainStop(err)), err)
	}
	if err := conn.Close(); err != nil {
		return n, failed(judge.StepTransfer, fmt.Sprintf("%s: closing the data connection: %v", what, err), err)
	}
	_, err = s.reply(judge.StepTransfer, what, 2)
	return n, err
}

// blame finds the data connection behind a transfer command that was not taken.
func (c channel) blame(r reply, err error) error {
	switch {
	case c.waiting != "" && isTimeout(err):
		return failed(judge.StepData, c.waiting, err)
	case r.code == 425 && c.waiting != "":
		return failed(judge.StepData, fmt.Sprintf("%s; it says 425 %s", c.waiting, r.quoted()), err)
	case r.code == 425 || r.code == 426:
		return failed(judge.StepData, fmt.Sprintf("%s: the server cannot open the data connection: it says %d %s", c.mode, r.code, r.quoted()), err)
	}
	return err
}

// move carries the content of a transfer.
func move(conn net.Conn, w io.Writer, content []byte) (int64, error) {
	if content != nil {
		n, err := conn.Write(content)
		return int64(n), err
	}
	return io.Copy(w, conn)
}

func (s *session) explainStop(err error) string {
	if isTimeout(err) {
		return fmt.Sprintf("nothing more before the check's %v were over", s.t.Timeout)
	}
	return err.Error()
}
