package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/script"
)

// stage is a farm whose servers and clients are scripted. Many dialogues go on at the same time.
type stage struct {
	*farm
	ctx     context.Context
	mu      sync.Mutex // from the opening of a connection to its arrival
	arrived chan arrival
	watch   *lab.Process
}

type arrival struct {
	conn    *net.TCPConn
	backend *lab.Backend
}

// actor is one dialogue: a scripted client, and the server that it talks to.
type actor struct {
	*stage
	client  *script.Client
	server  *script.Session
	backend *lab.Backend
	content []byte // what the server sends
	name    string
	family  configs.Family
}

// dialogue is a test case: what both sides do, and what the client wants.
type dialogue struct {
	name   string
	family configs.Family // default IPv4
	server script.Server
	cuts   map[string]script.Cut // of the client
	all    script.Cut            // of the client's other commands
	talk   func(context.Context, *actor) error
	direct bool // at the backend's own address: nobody reads what is said
}

// newStage makes a stage and watches the expectations that are made on it.
func newStage(t *testing.T, a arrangement) *stage {
	t.Helper()
	f := newFarm(t, a)
	s := &stage{farm: f, ctx: t.Context(), arrived: make(chan arrival, 16)}
	v := f.vips[0]
	for i, b := range v.Backends {
		v.servers[i].Kill()
		for _, addr := range b.Addrs.All() {
			l, err := b.Listen(t.Context(), netip.AddrPortFrom(addr, 21))
			must(t, err)
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					s.arrived <- arrival{c.(*net.TCPConn), b}
				}
			}()
		}
	}
	var err error
	s.watch, err = f.Balancer.Start(t.Context(), lab.Command{Args: []string{"conntrack", "-E", "expect"}})
	must(t, err)
	eventually(t, "expectations are seen", func() bool { // it says nothing before it listens
		must(t, s.play(dialogue{name: "first", talk: usual}))
		return len(s.expectations(t)) > 0
	})
	return s
}

// direct is a backend's own address: what comes there is read by nobody on the way.
func (s *stage) direct(family configs.Family) netip.AddrPort {
	return netip.AddrPortFrom(s.Backends[0].Addrs.Of(family), 21)
}

// meet opens a connection and has a server talk at its other end.
func (s *stage) meet(at netip.AddrPort, server script.Server) (*script.Client, *script.Session, *lab.Backend, error) {
	var conn net.Conn
	session, backend, err := s.arrive(server, func() (err error) {
		ctx, cancel := context.WithTimeout(s.ctx, script.Patience)
		defer cancel()
		conn, err = s.Client.Dial(ctx, netip.Addr{}, at)
		return err
	})
	if err != nil {
		return nil, nil, nil, err
	}
	return script.NewClient(s.Client, conn.(*net.TCPConn)), session, backend, nil
}

// arrive has a server talk on the connection that dial opens.
func (s *stage) arrive(server script.Server, dial func() error) (*script.Session, *lab.Backend, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := dial(); err != nil {
		return nil, nil, err
	}
	select {
	case a := <-s.arrived:
		return server.Serve(s.ctx, a.backend.Namespace, a.conn), a.backend, nil
	case <-time.After(script.Patience):
		return nil, nil, errors.New("no server was reached")
	}
}

// play has a dialogue, and checks what is true of all: the server read no announcement of another host, and the client
// read no private address.
func (s *stage) play(d dialogue) error {
	if d.family == 0 {
		d.family = configs.IPv4
	}
	if d.server.Content == nil {
		d.server.Content = content(d.name, 3000)
	}
	if d.talk == nil {
		d.talk = usual
	}
	at := s.vips[0].at(d.family)
	if d.direct {
		at = s.direct(d.family)
	}
	c, session, backend, err := s.meet(at, d.server)
	if err != nil {
		return err
	}
	defer c.Close()
	defer session.Close()
	c.Cuts, c.Default = d.cuts, d.all
	a := &actor{stage: s, client: c, server: session, backend: backend, content: d.server.Content, name: d.name, family: d.family}
	if err := d.talk(s.ctx, a); err != nil {
		return fmt.Errorf("%w\nthe server read %q", err, session.Got())
	}
	if err := session.Err(); err != nil {
		return fmt.Errorf("the server: %w", err)
	}
	if d.direct {
		return nil
	}
	return a.innocent()
}

// playAll has dialogues at the same time, and a subtest for each.
func (s *stage) playAll(t *testing.T, list []dialogue) {
	t.Helper()
	inParallel(t, len(list), func(i int) (string, error) { return list[i].name, s.play(list[i]) })
}

// inParallel does n things at the same time, and has a subtest for the result of each. There may be many more than
// tests that go test has run in parallel, because they wait most of the time.
func inParallel(t *testing.T, n int, do func(i int) (name string, err error)) {
	t.Helper()
	type result struct {
		name string
		err  error
		took time.Duration
	}
	results := make([]chan result, n)
	for i := range n {
		results[i] = make(chan result, 1)
		go func() {
			start := time.Now()
			name, err := do(i)
			results[i] <- result{name, err, time.Since(start)}
		}()
	}
	for _, c := range results {
		r := <-c
		t.Run(r.name, func(t *testing.T) {
			t.Logf("it took %v", r.took)
			if r.err != nil {
				t.Error(r.err)
			}
		})
	}
}

// gate is where dialogues wait for each other.
type gate struct {
	arrived chan struct{}
	opened  chan struct{}
}

func newGate() *gate { return &gate{arrived: make(chan struct{}), opened: make(chan struct{})} }

// open opens the gate once n dialogues have arrived and something has been done.
func (g *gate) open(n int, do func()) {
	late := time.After(script.Patience)
	go func() {
		for range n {
			select {
			case <-g.arrived:
			case <-late: // the missing ones have failed
				do()
				close(g.opened)
				return
			}
		}
		do()
		close(g.opened)
	}()
}

// wait arrives at the gate and waits until it is open.
func (g *gate) wait(ctx context.Context) error {
	return errors.Join(g.arrive(ctx), wait(ctx, g.opened))
}

// arrive is one arrival.
func (g *gate) arrive(ctx context.Context) error {
	select {
	case g.arrived <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// wait waits until a channel is closed.
func wait(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// restartHelper kills the helper and starts another. It is fit for any goroutine; where it fails all that follows does.
func (s *stage) restartHelper() {
	s.helper.Kill()
	if h, err := s.ftpvip.StartHelper(s.ctx, nil); err == nil {
		s.helper = h
	}
}

// usual is what a client does who wants files: it logs in, and fetches one in a passive and one in an active mode.
func usual(ctx context.Context, a *actor) error {
	if err := a.client.Login(ctx); err != nil {
		return err
	}
	return a.goesOn(ctx)
}

// goesOn checks that a session is as good as any: files come in both modes, and it ends with a goodbye.
func (a *actor) goesOn(ctx context.Context) error {
	passive, active := client.PASV, client.PORT
	if a.family == configs.IPv6 {
		passive, active = client.EPSV, client.EPRT
	}
	for _, mode := range []client.Mode{passive, active} {
		if err := a.client.Fetch(ctx, mode, a.content); err != nil {
			return err
		}
	}
	return a.client.Commands(ctx, "NOOP", "200", "QUIT", "221")
}

// innocent checks what each end has read.
func (a *actor) innocent() error {
	for _, text := range privateTexts(a.backend.Addrs) {
		if got := a.client.Got(); strings.Contains(got, text) {
			return fmt.Errorf("the client reads the backend's address %s: %q", text, got)
		}
	}
	return a.innocentLines(a.server.Lines())
}

// innocentLines checks that a server read no announcement of another host than the client, or of the balancer in
// one-arm mode.
func (s *stage) innocentLines(lines []string) error {
	for _, line := range lines {
		for _, part := range strings.FieldsFunc(line, func(r rune) bool { return r == '\r' || r == '\n' || r == 0 }) {
			verb, argument, _ := strings.Cut(strings.TrimSpace(part), " ")
			verb = strings.ToUpper(verb)
			if verb == "LPRT" && strings.HasPrefix(argument, "4,") {
				return fmt.Errorf("the server reads %q", line)
			}
			if verb != "PORT" && verb != "EPRT" {
				continue
			}
			at, err := script.ParseAnnouncement(verb, strings.TrimSpace(argument))
			if err != nil {
				continue // refused, or not an address
			}
			own := []configs.Addrs{s.ClientAddrs[0]}
			if s.Arm == lab.OneArm {
				own = []configs.Addrs{s.BalancerLAN, s.BalancerSNAT}
			}
			if !anyOf(own, at.Addr()) {
				return fmt.Errorf("the server reads %q, which is not the client", line)
			}
		}
	}
	return nil
}

func anyOf(list []configs.Addrs, a netip.Addr) bool {
	for _, l := range list {
		if a == l.V4 || a == l.V6 {
			return true
		}
	}
	return false
}

// privateTexts are the forms in which replies name an address.
func privateTexts(a configs.Addrs) []string {
	return []string{a.V4.String(), strings.ReplaceAll(a.V4.String(), ".", ","), a.V6.String()}
}

// made is where an expectation lets a connection come to.
type made struct {
	to netip.AddrPort
}

var expectEvent = regexp.MustCompile(`\[NEW\].*?src=(\S+) dst=(\S+) sport=\d+ dport=(\d+)`)

// expectations lists all that were made so far.
func (s *stage) expectations(t *testing.T) []made {
	t.Helper()
	var list []made
	for _, m := range expectEvent.FindAllStringSubmatch(s.watch.Stdout(), -1) {
		port, err := strconv.ParseUint(m[3], 10, 16)
		must(t, err)
		to, err := netip.ParseAddr(m[2])
		must(t, err)
		list = append(list, made{netip.AddrPortFrom(to, uint16(port))})
	}
	return list
}

// noWrongPort checks that no expectation has a port that nobody listens on. In one-arm mode the port of an active data
// connection is the helper's choice.
func (s *stage) noWrongPort(t *testing.T) {
	t.Helper()
	for _, e := range s.expectations(t) {
		if !script.Plausible(e.to.Port()) && (s.Arm == lab.TwoArm || anyOf(s.VIPs, e.to.Addr())) {
			t.Errorf("there was an expectation for %s, a port that nobody announced", e.to)
		}
	}
}

// noticed is how much the helper has counted of what is out of order.
func (f *farm) noticed(t *testing.T) (n uint64) {
	t.Helper()
	figures := f.figures(t)
	for _, m := range []map[string]uint64{figures.Refusals, figures.Events, figures.Unread} {
		for kind, count := range m {
			if kind != "expected" && kind != "rewritten" {
				n += count
			}
		}
	}
	return n
}

// same compares contents.
func same(got, want []byte) error {
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes came, which are not the %d that were sent", len(got), len(want))
	}
	return nil
}
