package live

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/configs/statedir"
	"ftpvip/helper/admit"
)

// Bounds of a conversation.
const (
	timeout    = 10 * time.Second
	maxRequest = 4096
	maxClients = 16
)

// ErrTaken says that another helper answers on the socket.
var ErrTaken = errors.New("another helper answers on this socket")

// request is what a client sends.
type request struct {
	Get string `json:"get"`
}

const (
	getFigures  = "figures"
	getSessions = "sessions"
)

// failure is the answer to a request that cannot be served.
type failure struct {
	Error string `json:"error"`
}

// Server answers on a socket.
type Server struct {
	listener net.Listener
	source   Source
	log      *slog.Logger
	path     string
	info     fs.FileInfo // of the socket that is ours
	wait     sync.WaitGroup
}

// Listen makes the socket, for root and its group. A socket that a killed helper left is replaced.
func Listen(ctx context.Context, path string, source Source, log *slog.Logger) (*Server, error) {
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	s := &Server{source: source, log: log, path: path}
	dir, err := statedir.Open(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("making the socket %s: %w", path, err)
	}
	defer dir.Close()
	short := path
	if len(path) >= len(unix.RawSockaddrUnix{}.Path) {
		short = dir.Join(filepath.Base(path))
	}
	// The mode is right from the first moment on: nobody connects before the socket listens, and the directory is
	// not for everybody.
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: short})
	if err != nil {
		return nil, fmt.Errorf("making the socket %s: %w", path, err)
	}
	listener.SetUnlinkOnClose(false) // it would remove a successor's
	s.listener = admit.Listen(listener, maxClients)
	err = os.Chmod(short, 0o660) // #nosec G302 -- the group may ask
	if err == nil {
		s.info, err = os.Lstat(short)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making the socket %s: %w", path, err), s.listener.Close())
	}
	s.wait.Go(s.accept)
	return s, nil
}

// removeStale removes a socket on which nobody answers.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the socket: %w", err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("%s is in the way: it is no socket", path)
	}
	c, err := dial(ctx, path)
	if err == nil {
		return errors.Join(fmt.Errorf("%w: %s", ErrTaken, path), c.Close())
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a socket that nobody answers on: %w", err)
	}
	return nil
}

// accept serves clients until the listener is closed.
func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.log.Warn("cannot accept a connection on the helper's socket", "err", err)
			time.Sleep(100 * time.Millisecond) // out of file descriptors, most likely
			continue
		}
		s.wait.Go(func() { s.serve(c) })
	}
}

// serve answers one request.
func (s *Server) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return
	}
	line, err := bufio.NewReader(io.LimitReader(c, maxRequest)).ReadBytes('\n')
	if err != nil {
		return // a look whether we live
	}
	if c, ok := c.(*admit.Conn); ok {
		c.Busy(true) // until it is closed
	}
	w := bufio.NewWriter(c)
	if err := errors.Join(s.answer(w, line), w.Flush()); err != nil {
		s.log.Debug("a client of the helper's socket went away", "err", err)
	}
}

func (s *Server) answer(w *bufio.Writer, line []byte) error {
	var r request
	enc := json.NewEncoder(w)
	if err := json.Unmarshal(line, &r); err != nil {
		return enc.Encode(failure{"the request is no JSON: " + err.Error()})
	}
	switch r.Get {
	case getFigures:
		return enc.Encode(s.source.Figures())
	case getSessions:
		return writeList(w, enc, s.source.Sessions())
	}
	return enc.Encode(failure{fmt.Sprintf("get %q: allowed: %s, %s", r.Get, getFigures, getSessions)})
}

// writeList writes a JSON array, element by element.
func writeList(w *bufio.Writer, enc *json.Encoder, sessions iter.Seq[Session]) error {
	separator := byte('[')
	for session := range sessions {
		if err := errors.Join(w.WriteByte(separator), enc.Encode(session)); err != nil {
			return err
		}
		separator = ','
	}
	end := "]\n"
	if separator == '[' {
		end = "[]\n"
	}
	_, err := w.WriteString(end)
	return err
}

// Close ends the service and removes the socket, unless it is another one's by now.
func (s *Server) Close() error {
	var errs []error
	if info, err := os.Lstat(s.path); err == nil && os.SameFile(info, s.info) {
		errs = append(errs, os.Remove(s.path))
	}
	errs = append(errs, s.listener.Close())
	s.wait.Wait()
	return errors.Join(errs...)
}
