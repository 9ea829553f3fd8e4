package operate

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/rules/change"
)

// world is a host of fakes, with a state directory and a configuration.
type world struct {
	t         *testing.T
	dir, file string
	kernel    *fakeKernel
	carrier   *fakeCarrier
	addresses *fakeAddresses
	sessions  *fakeSessions
	clock     *fakeClock
	said      *strings.Builder
	log       *slog.Logger // to said
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, dir: t.TempDir(), file: filepath.Join(t.TempDir(), "ftpvip.yaml"),
		kernel: &fakeKernel{}, carrier: &fakeCarrier{}, addresses: &fakeAddresses{}, sessions: &fakeSessions{},
		clock: &fakeClock{now: time.Now().Truncate(time.Second), boot: "first", waits: map[chan time.Time]time.Time{}},
	}
	w.said = &strings.Builder{}
	w.log = slog.New(slog.NewTextHandler(w.said, nil))
	w.configure("source-hash", 9)
	t.Cleanup(func() { w.kernel.allClosed(t) })
	return w
}

// configure writes a configuration: its scheduler, and the last number of the second server's address.
func (w *world) configure(scheduler string, last int) {
	w.t.Helper()
	text := fmt.Sprintf(`vips:
  - {name: ftp, addresses: [192.0.2.10, "2001:db8::10"], port: 21, pool: farm, bind: eth0}
pools:
  - name: farm
    scheduler: %s
    health: {check: tcp, rise: 1, fall: 1}
    backends: [{name: a, addresses: [10.2.0.8, "fd00::8"]}, {name: b, addresses: [10.2.0.%d, "fd00::%d"]}]
`, scheduler, last, last)
	if err := os.WriteFile(w.file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// operator is another process on the host.
func (w *world) operator() *Operator {
	return &Operator{
		Source: &Source{Path: w.file, Log: w.log}, StateDir: w.dir, Log: w.log,
		Kernel: w.kernel, Carrier: w.carrier, Addresses: w.addresses, Sessions: w.sessions, Host: fakeHost{}, Clock: w.clock, Change: change.Plain,
	}
}

// apply applies the file, and fails the test where that fails.
func (w *world) apply() {
	w.t.Helper()
	if _, err := w.operator().Apply(w.t.Context(), 0); err != nil {
		w.t.Fatal(err)
	}
}

// confirmLater applies the file so that it has to be confirmed.
func (w *world) confirmLater(d time.Duration) *fakeWaiter {
	w.t.Helper()
	o, waiter := w.operator(), &fakeWaiter{}
	o.Waiter = waiter
	if done, err := o.Apply(w.t.Context(), d); err != nil || done.Pending == "" || waiter.token == "" {
		w.t.Fatalf("%+v, %v, the waiter has %q", done, err, waiter.token)
	}
	return waiter
}

// snapshot is everything that must be as before where something fails.
func (w *world) snapshot() map[string]string {
	w.t.Helper()
	all := map[string]string{
		"table": w.kernel.Text(), "addresses": fmt.Sprint(w.addresses.held), "carrier": fmt.Sprint(w.carrier.registered),
	}
	files, err := os.ReadDir(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() == LockChange || f.Name() == lockRound {
			continue
		}
		b, err := os.ReadFile(filepath.Join(w.dir, f.Name()))
		if err != nil {
			w.t.Fatal(err)
		}
		all[f.Name()] = string(b)
	}
	return all
}

// inStep fails the test where the kernel is not as file and state ask for.
func (w *world) inStep() {
	w.t.Helper()
	if text, err := w.operator().Diff(); err != nil || text != "" {
		w.t.Errorf("apply would change, %v:\n%s", err, text)
	}
}

func ref(backend string) configs.Ref { return configs.Ref{Pool: "farm", Backend: backend} }
