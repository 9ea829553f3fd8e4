package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type source struct {
	figures  Figures
	sessions []Session
}

func (s source) Figures() Figures { return s.figures }
func (s source) Sessions() iter.Seq[Session] {
	return slices.Values(s.sessions)
}

var example = source{
	figures: Figures{
		Version: "1.2", PID: 7, Started: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC), SessionsTotal: 9,
		Commands:  map[string]uint64{"PASV": 3},
		Transfers: []Transfer{{Mode: "passive", Direction: "download", Count: 2, Bytes: 1 << 40}},
		Queues:    []Queue{{Number: 2100, Packets: 5}},
		Latency:   Histogram{Bounds: []float64{0.1}, Counts: []uint64{1, 2}, Sum: 3},
	},
	sessions: []Session{
		{VIP: "ftp", Client: netip.MustParseAddrPort("[2001:db8::1]:4"), User: "bob"},
		{VIP: "ftp", Client: netip.MustParseAddrPort("192.0.2.1:4"), Since: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)},
	},
}

func listen(t *testing.T, path string, s Source) (*Server, error) {
	t.Helper()
	return Listen(t.Context(), path, s, slog.New(slog.DiscardHandler))
}

func start(t *testing.T, path string, s Source) {
	t.Helper()
	server, err := listen(t, path, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket stays: %v", err)
		}
	})
}

func TestAsk(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(long, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{t.TempDir(), long} {
		path := filepath.Join(dir, SocketName)
		start(t, path, example)
		f, err := AskFigures(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(example.figures, *f); d != "" {
			t.Errorf("figures differ (-want +got)\n%s", d)
		}
		list, err := AskSessions(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(example.sessions, list, cmpopts.EquateComparable(netip.AddrPort{})); d != "" {
			t.Errorf("sessions differ (-want +got)\n%s", d)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o660 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
}

func TestNoSessions(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	start(t, path, source{})
	if list, err := AskSessions(t.Context(), path); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestNotRunning(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	if _, err := AskFigures(t.Context(), path); !errors.Is(err, ErrNotRunning) {
		t.Errorf("without a socket: %v", err)
	}
	leaveSocket(t, path)
	if _, err := AskSessions(t.Context(), path); !errors.Is(err, ErrNotRunning) {
		t.Errorf("with a socket that nobody answers on: %v", err)
	}
}

// leaveSocket leaves a socket as a killed helper does.
func leaveSocket(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	leaveSocket(t, path)
	start(t, path, example)
	if _, err := AskFigures(t.Context(), path); err != nil {
		t.Error(err)
	}
	if _, err := listen(t, path, example); !errors.Is(err, ErrTaken) {
		t.Errorf("a second helper: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(t, file, example); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file in the way: %v", err)
	}
}

func TestBadRequests(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	start(t, path, example)
	for request, want := range map[string]string{
		"{\"get\":\"everything\"}\n":           "allowed: figures, sessions",
		"hello\n":                              "no JSON",
		strings.Repeat("x", maxRequest) + "\n": "",
	} {
		got, err := talk(t.Context(), path, request)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%.20q is answered with %q, want %q", request, got, want)
		}
	}
}

func talk(ctx context.Context, path, request string) (string, error) {
	c, err := dial(ctx, path)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	if _, err := fmt.Fprint(c, request); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	if errors.Is(err, net.ErrClosed) || err != nil && strings.Contains(err.Error(), "reset") {
		err = nil
	}
	return string(b), err
}

// TestCrowd opens many connections that ask nothing: who asks is answered all the same.
func TestCrowd(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	start(t, path, example)
	for i := range 10 * maxClients {
		c, err := dial(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if i%2 == 0 {
			_, _ = fmt.Fprint(c, `{"get":`) // an error is as well: it was replaced
		}
	}
	if _, err := AskFigures(t.Context(), path); err != nil {
		t.Error(err)
	}
}
