package live

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/configs/statedir"
	"ftpvip/configs/terminal"
)

// ErrNotRunning says that no helper answers on the socket.
var ErrNotRunning = errors.New("no helper is running")

// ErrStranger says that somebody answers on the socket who may not.
var ErrStranger = errors.New("neither root nor the directory's owner")

// patience is how long a helper may take to answer; one that lives answers within milliseconds.
const patience = 5 * time.Second

// maxAnswer bounds an answer in bytes: some 100,000 sessions.
const maxAnswer = 64 << 20

// dial connects to the helper on a socket. The error wraps fs.ErrNotExist or ECONNREFUSED if there is none.
func dial(ctx context.Context, path string) (*net.UnixConn, error) {
	dir, err := statedir.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	d := net.Dialer{Timeout: patience}
	c, err := d.DialContext(ctx, "unix", dir.Join(filepath.Base(path)))
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err // it names the path in another way
		}
		return nil, err
	}
	conn := c.(*net.UnixConn)
	if err := mayAnswer(conn, dir.Owner()); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// AskFigures asks the helper on a socket for its figures.
func AskFigures(ctx context.Context, path string) (*Figures, error) {
	f := &Figures{}
	return f, ask(ctx, path, getFigures, f)
}

// Reload makes the helper on a socket read its configuration again. The process that gets the signal is the one that the
// kernel says listens there: what it answers names nobody.
func Reload(ctx context.Context, path string) error {
	c, err := connect(ctx, path)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	peer, err := openPeer(c)
	if err != nil {
		return fmt.Errorf("looking who listens on %s: %w", path, err)
	}
	defer func() { _ = unix.Close(peer) }()
	if err := askOn(c, path, getFigures, &Figures{}); err != nil { // it is a helper, and it lives
		return err
	}
	if err := unix.PidfdSendSignal(peer, unix.SIGHUP, nil, 0); err != nil {
		return fmt.Errorf("sending SIGHUP to the helper on %s: %w", path, err)
	}
	return nil
}

// AskSessions asks the helper on a socket for the current control connections, and sorts them by age.
func AskSessions(ctx context.Context, path string) ([]Session, error) {
	list := []Session{}
	if err := ask(ctx, path, getSessions, &list); err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b Session) int {
		return cmp.Or(a.Since.Compare(b.Since), a.Client.Compare(b.Client))
	})
	return list, nil
}

// ask sends a request and reads the answer into v.
func ask(ctx context.Context, path, what string, v any) error {
	c, err := connect(ctx, path)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return askOn(c, path, what, v)
}

// connect is dial with the errors that callers want.
func connect(ctx context.Context, path string) (*net.UnixConn, error) {
	c, err := dial(ctx, path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return nil, fmt.Errorf("%w: nobody answers on %s", ErrNotRunning, path)
	case err != nil:
		return nil, fmt.Errorf("connecting to the helper on %s: %w", path, err)
	}
	return c, nil
}

func askOn(c net.Conn, path, what string, v any) error {
	b, err := exchange(c, what)
	if err != nil {
		return fmt.Errorf("asking the helper on %s for its %s: %w", path, what, err)
	}
	var f failure
	if json.Unmarshal(b, &f) == nil && f.Error != "" {
		return fmt.Errorf("asking the helper on %s for its %s: it says: %s", path, what, terminal.Line(f.Error))
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("asking the helper on %s for its %s: reading the answer: %w", path, what, err)
	}
	return nil
}

func exchange(c net.Conn, what string) ([]byte, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(c).Encode(request{Get: what}); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(c, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) == 0:
		return nil, errors.New("it does not answer: too many ask at the same time, or it is stopping")
	case len(b) > maxAnswer:
		return nil, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	return b, nil
}
