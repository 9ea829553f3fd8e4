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
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotRunning says that no helper answers on the socket.
var ErrNotRunning = errors.New("no helper is running")

func dial(ctx context.Context, path string) (net.Conn, error) {
	short, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	d := net.Dialer{Timeout: timeout}
	return d.DialContext(ctx, "unix", short)
}

// AskFigures asks the helper on a socket for its figures.
func AskFigures(ctx context.Context, path string) (*Figures, error) {
	f := &Figures{}
	return f, ask(ctx, path, getFigures, f)
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
	c, err := dial(ctx, path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("%w: nobody answers on %s", ErrNotRunning, path)
	}
	if err != nil {
		return fmt.Errorf("connecting to the helper on %s: %w", path, err)
	}
	defer func() { _ = c.Close() }()
	b, err := exchange(c, what)
	if err != nil {
		return fmt.Errorf("asking the helper on %s for its %s: %w", path, what, err)
	}
	var f failure
	if json.Unmarshal(b, &f) == nil && f.Error != "" {
		return fmt.Errorf("asking the helper on %s for its %s: it says: %s", path, what, f.Error)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("asking the helper on %s for its %s: reading the answer: %w", path, what, err)
	}
	return nil
}

func exchange(c net.Conn, what string) ([]byte, error) {
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(c).Encode(request{Get: what}); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(c)
	if err == nil && len(b) == 0 {
		err = errors.New("it does not answer: too many ask at the same time, or it is stopping")
	}
	return b, err
}
