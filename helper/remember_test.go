package helper

import (
	"os"
	"path/filepath"
	"testing"

	"ftpvip/helper/ftp"
	"ftpvip/helper/recall"
)

// killed is a helper without a clean end, and the next one: it has the file, and the connection existed before.
func killed(t *testing.T, h *host, path string) *host {
	t.Helper()
	if err := h.d.opts.Memory.Close(); err != nil {
		t.Fatal(err)
	}
	next := newHost(t, h.tracker.conn)
	next.tracker.picked = true
	next.seq = h.seq
	next.d.opts.Memory = openMemory(t, path)
	return next
}

func openMemory(t *testing.T, path string) *recall.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	m, err := recall.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// A helper that is killed in the middle of a line leaves the next one what has gone on of it.
func TestKilledWithinLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	for _, test := range []struct {
		name      string
		lost      bool
		want      string
		announced int
	}{
		{name: "remembered", want: "accept", announced: 1},
		{name: "lost", lost: true, want: "drop"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, twoArm)
			h.d.opts.Memory = openMemory(t, path)
			h.want(h.send(ftp.FromServer, "220 ready\r\n"), "accept")
			h.want(h.send(ftp.FromClient, "PORT 203,0,113,9,195,"), "accept")
			next := killed(t, h, path)
			if test.lost {
				next.tracker.conn.ID++
			}
			next.want(next.send(ftp.FromClient, "80\r\n"), test.want)
			if n := len(next.tracker.opened); n != test.announced {
				t.Errorf("%d announced, want %d", n, test.announced)
			}
			next = killed(t, next, path)
			next.want(next.send(ftp.FromServer, "200 ok\r\n"), "accept")
			next.d.forget(next.tracker.conn, endClosed)
			next = killed(t, next, path)
			if n := next.d.opts.Memory.Claim(memoryKey(&next.tracker.conn), func([]byte) {}); n != 0 {
				t.Error("the memory of a session that has ended is left")
			}
		})
	}
}

// A helper that ends by itself leaves its memory, too.
func TestStoppedWithinLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	h := newHost(t, twoArm)
	h.d.opts.Memory = openMemory(t, path)
	h.send(ftp.FromServer, "220 ready\r\n")
	h.send(ftp.FromClient, "PORT 203,0,113,9,195,")
	if err := h.d.stop(); err != nil {
		t.Fatal(err)
	}
	next := killed(t, h, path)
	next.want(next.send(ftp.FromClient, "80\r\n"), "accept")
}
