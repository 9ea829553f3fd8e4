package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPriorities: `journalctl -p warning` shows warnings and errors.
func TestPriorities(t *testing.T) {
	var b strings.Builder
	log := newLog(&b, slog.LevelDebug, true)
	log.With("a", 1).Warn("w", "b", 2)
	log.WithGroup("g").Error("e", "b", 2)
	log.Info("i")
	log.Debug("d")
	want := "<4>msg=w a=1 b=2\n<3>msg=e g.b=2\n<6>msg=i\n<7>msg=d\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	b.Reset()
	newLog(&b, slog.LevelInfo, false).Warn("w")
	if !strings.HasPrefix(b.String(), "time=") || !strings.Contains(b.String(), "level=WARN msg=w") {
		t.Errorf("for a terminal: %s", b.String())
	}
}

func TestToJournal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it is empty
	for stream, want := range map[string]bool{"": false, "1:2": false, identity(t, f): true} {
		t.Setenv("JOURNAL_STREAM", stream)
		if got := toJournal(f); got != want {
			t.Errorf("JOURNAL_STREAM=%q: %v", stream, got)
		}
	}
}

// identity is a file's DEVICE:INODE.
func identity(t *testing.T, f *os.File) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
