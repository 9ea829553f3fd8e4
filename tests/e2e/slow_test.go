package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab/client"
)

// largeSize is more than all socket buffers on the way can hold, so that a transfer of it is under way for as long
// as the client does not read.
const largeSize = 16 << 20

// large is the content of that size, made once.
var large = sync.OnceValue(func() []byte { return bytes.Repeat(content("large", 1<<20), largeSize>>20) })

// slowTransfer is a download that waits in the middle until it is let go.
type slowTransfer struct {
	session *client.Session
	gate    chan struct{}
	done    chan error
}

// startSlow begins a slow download of the file "large" and returns when its first bytes are there.
func (f *farm) startSlow(t *testing.T, v *vip, from netip.Addr, family configs.Family, mode client.Mode) *slowTransfer {
	t.Helper()
	s := &slowTransfer{session: f.dial(t, v, from, family), gate: make(chan struct{}), done: make(chan error, 1)}
	began := make(chan struct{})
	ctx := t.Context()
	go func() {
		w := &gatedWriter{want: large(), began: began, gate: s.gate}
		_, err := s.session.Download(ctx, mode, "large", w)
		if err == nil && len(w.want) > 0 {
			err = fmt.Errorf("%d bytes are missing", len(w.want))
		}
		s.done <- err
	}()
	select {
	case <-began:
	case err := <-s.done:
		t.Fatalf("the slow download ended at once: %v", err)
	case <-time.After(20 * time.Second):
		t.Fatal("the slow download does not begin")
	}
	return s
}

// finish lets the transfer go on, and checks that it gets to its end with the right content and that its session
// is still good.
func (s *slowTransfer) finish(t *testing.T) {
	t.Helper()
	select {
	case err := <-s.done:
		t.Errorf("the slow download ended too early: %v", err)
		return
	default:
	}
	close(s.gate)
	select {
	case err := <-s.done:
		if err != nil {
			t.Errorf("the slow download: %v", err)
			return
		}
	case <-time.After(60 * time.Second):
		t.Error("the slow download does not end")
		return
	}
	if err := s.session.Noop(); err != nil {
		t.Errorf("the session after the slow download: %v", err)
	}
}

// reuse checks that the session of a finished transfer is as good as new, in every mode.
func (s *slowTransfer) reuse(t *testing.T) {
	t.Helper()
	for _, mode := range client.Modes(configs.FamilyOf(s.session.Server().Addr())) {
		var got bytes.Buffer
		if _, err := s.session.Download(t.Context(), mode, "file", &got); err != nil {
			t.Errorf("%s after the slow download: %v", mode, err)
			return
		}
		if !bytes.Equal(got.Bytes(), content("file", fileSize)) {
			t.Errorf("%s after the slow download: content differs", mode)
		}
	}
}

// startSlowInAll begins a slow download in each mode and family.
func (f *farm) startSlowInAll(t *testing.T, v *vip) []*slowTransfer {
	t.Helper()
	v.put(t, "large", large())
	v.put(t, "file", content("file", fileSize))
	var slow []*slowTransfer
	for _, family := range configs.Families {
		for _, mode := range client.Modes(family) {
			slow = append(slow, f.startSlow(t, v, netip.Addr{}, family, mode))
		}
	}
	return slow
}

// gatedWriter compares what is written with what it wants, and stops before the first bytes until the gate is open.
type gatedWriter struct {
	want  []byte // what is still to come
	once  sync.Once
	began chan<- struct{}
	gate  <-chan struct{}
}

// Write implements io.Writer.
func (w *gatedWriter) Write(b []byte) (int, error) {
	w.once.Do(func() { close(w.began) })
	<-w.gate
	if !bytes.HasPrefix(w.want, b) {
		return 0, errors.New("content differs")
	}
	w.want = w.want[len(b):]
	return len(b), nil
}
