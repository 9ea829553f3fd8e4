package operate

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"ftpvip/configs"
	"ftpvip/helper/observe"
	"ftpvip/helper/reset"
	"ftpvip/rules"
	"ftpvip/rules/bind"
	"ftpvip/rules/doctor"
)

// errFault is what a fake fails with that was asked to.
var errFault = errors.New("injected fault")

// fakeCarrier is a kernel with nfnetlink_cthelper.
type fakeCarrier struct {
	mu         sync.Mutex
	registered bool
	fail       bool
}

func (c *fakeCarrier) Choose(configs.Carrier) (string, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return rules.CTHelperName, !c.registered, nil
}

func (c *fakeCarrier) set(registered bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail && registered {
		return errFault
	}
	c.registered = registered
	return nil
}

func (c *fakeCarrier) Register() error   { return c.set(true) }
func (c *fakeCarrier) Unregister() error { return c.set(false) }

// fakeAddresses are those of a host. half has Apply fail when half of a plan is done.
type fakeAddresses struct {
	mu   sync.Mutex
	held []bind.Held
	half bool
}

func (a *fakeAddresses) Read() ([]bind.Held, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.held), nil
}

func (a *fakeAddresses) Apply(p bind.Plan) (undo func() error, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := slices.Clone(a.held)
	undo = func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.held = before
		return nil
	}
	for _, x := range p.Add {
		a.held = append(a.held, bind.Held{Address: x, Ours: true})
		if a.half {
			return undo, errFault
		}
	}
	a.held = slices.DeleteFunc(a.held, func(h bind.Held) bool { return slices.Contains(p.Delete, h.Address) })
	return undo, nil
}

// fakeSessions counts down, and is ended by Reset.
type fakeSessions struct {
	mu    sync.Mutex
	left  int
	reset []configs.Ref
	fail  bool
}

func (s *fakeSessions) Count(*configs.Config, configs.Ref) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.left
	s.left = max(0, n-1)
	return n, nil
}

func (s *fakeSessions) Connections(*configs.Config) (map[netip.AddrPort]map[netip.AddrPort]int, error) {
	return nil, nil
}

func (s *fakeSessions) Reset(_ context.Context, _ *configs.Config, refs []configs.Ref) (reset.Ended, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail {
		return reset.Ended{}, errFault
	}
	s.reset = append(s.reset, refs...)
	n := s.left
	s.left = 0
	return reset.Ended{Control: n}, nil
}

// fakeHost is a host with a way to everybody.
type fakeHost struct{}

func (fakeHost) Read(f *doctor.Facts) error {
	f.Routes = map[netip.Addr]doctor.Route{}
	for i := range f.Config.Pools {
		for _, b := range f.Config.Pools[i].Backends {
			for _, a := range b.Addrs.All() {
				f.Routes[a] = doctor.Route{Kind: doctor.Unicast, Link: "lan0"}
			}
		}
	}
	for i := range f.Config.VIPs {
		for _, a := range f.Config.VIPs[i].Addrs.All() {
			f.Routes[a] = doctor.Route{Kind: doctor.Local, Link: "lo"}
		}
	}
	return nil
}

func (fakeHost) NetAdmin() (bool, error) { return true, nil }

func (fakeHost) Saved() []doctor.SavedTable { return nil }

func (fakeHost) Look() Seen {
	return Seen{queues: map[uint16]observe.QueueState{2100: {Number: 2100}, 2101: {Number: 2101}}}
}

func (fakeHost) Flows(context.Context, *configs.Config) (map[observe.Way]observe.Flow, error) {
	return nil, nil
}

// fakeClock stands still until a test moves it. Waits that are shorter than a second are over at once, as a test has
// nothing else to wait for.
type fakeClock struct {
	mu    sync.Mutex
	now   time.Time
	up    time.Duration
	boot  string
	waits map[chan time.Time]time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Up() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.up
}

// jump moves the clock on the wall alone.
func (c *fakeClock) jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *fakeClock) Boot() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.boot, nil
}

func (c *fakeClock) After(d time.Duration) <-chan time.Time {
	if d < time.Second {
		return time.After(time.Millisecond)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan time.Time, 1)
	c.waits[ch] = c.now.Add(d)
	return ch
}

// pass moves the clock.
func (c *fakeClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.up = c.now.Add(d), c.up+d
	for ch, at := range c.waits {
		if !at.After(c.now) {
			ch <- c.now
			delete(c.waits, ch)
		}
	}
}

// fakeWaiter is a process that waits for a confirmation.
type fakeWaiter struct {
	token string // of what it waits for
	gone  bool
	fail  bool
}

func (w *fakeWaiter) Await(token string) error {
	if w.fail {
		return errFault
	}
	w.token = token
	return nil
}

func (w *fakeWaiter) Leave() error { return nil }

func (w *fakeWaiter) End() error {
	w.token, w.gone = "", true
	return nil
}
