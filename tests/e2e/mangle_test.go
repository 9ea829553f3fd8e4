package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/helper/nfqueue"
	"ftpvip/helper/packet"
	"ftpvip/tests/lab"
)

// mangler is a bad wire: of the packets with payload that leave a host on its control connections, it duplicates some,
// and lets some go only after the next. It sits in the host's own output, so that the balancer gets them so.
type mangler struct {
	queue  *nfqueue.Queue
	raw    map[configs.Family]int // sockets for duplicates
	late   []uint32               // packets that wait for the next
	mu     sync.Mutex
	random *rand.Rand
	closed bool

	duplicated, reordered atomic.Int32
	errs                  chan error
}

// What mangles; numbers that nothing else in the lab has.
const (
	mangleQueue = 77
	mangleMark  = 77                    // on duplicates, which are not mangled again
	mangleLate  = 30 * time.Millisecond // where no next packet comes
)

// mangle makes the wire behind a host bad for its packets from or to port 21.
func mangle(t *testing.T, n *lab.Namespace, side string) *mangler {
	t.Helper()
	for _, tool := range []string{"iptables", "ip6tables"} {
		for _, rule := range []string{
			fmt.Sprintf("-m mark --mark %d -j ACCEPT", mangleMark),
			fmt.Sprintf("-p tcp --%s 21 -j NFQUEUE --queue-num %d", side, mangleQueue),
		} {
			r, err := n.Run(t.Context(), lab.Command{Args: append([]string{tool, "-A", "OUTPUT"}, strings.Fields(rule)...)})
			must(t, err)
			if r.Code != 0 {
				t.Fatal(r)
			}
		}
	}
	m := &mangler{raw: map[configs.Family]int{}, random: rand.New(rand.NewPCG(1, 2)), errs: make(chan error, 1)}
	must(t, n.Do(func() (err error) {
		for f, domain := range map[configs.Family]int{configs.IPv4: unix.AF_INET, configs.IPv6: unix.AF_INET6} {
			fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
			if err != nil {
				return err
			}
			m.raw[f] = fd
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, mangleMark); err != nil {
				return err
			}
		}
		m.queue, err = nfqueue.Open(mangleQueue)
		return err
	}))
	must(t, m.queue.Bind(1000, nfqueue.Handler{Packet: m.packet, Error: m.fail}))
	t.Cleanup(func() { must(t, m.close()) })
	return m
}

func (m *mangler) fail(err error) {
	select {
	case m.errs <- err:
	default: // one is enough
	}
}

func (m *mangler) packet(id uint32, b []byte) {
	p, err := packet.Parse(b)
	if err != nil {
		m.fail(err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(p.Payload) == 0 {
		m.let(m.queue.Accept(id))
		return
	}
	switch dice := m.random.IntN(100); {
	case dice < 30:
		m.late = append(m.late, id)
		m.reordered.Add(1)
		time.AfterFunc(mangleLate, func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.release()
		})
		return
	case dice < 60:
		m.duplicate(&p)
	}
	m.let(m.queue.Accept(id))
	m.release()
}

// duplicate sends a packet by itself; it was routed already, and so is the copy.
func (m *mangler) duplicate(p *packet.Packet) {
	m.duplicated.Add(1)
	fd, to := m.raw[configs.IPv4], unix.Sockaddr(nil)
	if a := p.Dst.Addr(); a.Is4() {
		to = &unix.SockaddrInet4{Addr: a.As4()}
	} else {
		fd, to = m.raw[configs.IPv6], &unix.SockaddrInet6{Addr: a.As16()}
	}
	m.let(unix.Sendto(fd, p.Bytes(), 0, to))
}

// release lets go what waited.
func (m *mangler) release() {
	if m.closed {
		return
	}
	for _, id := range m.late {
		m.let(m.queue.Accept(id))
	}
	m.late = m.late[:0]
}

func (m *mangler) let(err error) {
	if err != nil {
		m.fail(err)
	}
}

func (m *mangler) close() error {
	m.mu.Lock()
	m.release()
	m.closed = true
	m.mu.Unlock()
	errs := []error{m.queue.Close()}
	for _, fd := range m.raw {
		errs = append(errs, unix.Close(fd))
	}
	return errors.Join(errs...)
}

// TestDuplicatedAndReorderedPackets has sessions on a wire that duplicates packets and changes their order, before the
// helper sees them, in both directions: each line is acted on once, and each copy of a reply is rewritten as the first.
func TestDuplicatedAndReorderedPackets(t *testing.T) {
	f := newFarm(t, arrangement{})
	session := f.playServers(t, f.vips[0])
	wires := []*mangler{mangle(t, f.Client, "dport")}
	for _, b := range f.Backends {
		wires = append(wires, mangle(t, b.Namespace, "sport"))
	}
	const sessions, rounds = 8, 10
	var running []*ends
	for i := range sessions {
		running = append(running, session(netip.Addr{}, configs.Families[i%2]))
	}
	var wait sync.WaitGroup
	for i, e := range running {
		wait.Go(func() { talk(t, e, i, rounds) })
	}
	wait.Wait()
	for _, w := range wires {
		select {
		case err := <-w.errs:
			t.Error(err)
		default:
		}
	}
	duplicated, reordered := 0, 0
	for _, w := range wires {
		duplicated, reordered = duplicated+int(w.duplicated.Load()), reordered+int(w.reordered.Load())
	}
	figures := f.figures(t)
	t.Logf("%d packets were duplicated, %d came late; the helper saw %d early ones", duplicated, reordered, figures.Events["early"])
	if duplicated < 20 || reordered < 20 || figures.Events["early"] == 0 {
		t.Error("that is too few")
	}
	if got, want := figures.Events["expected"], uint64(sessions*rounds); got != want {
		t.Errorf("%d announcements of data connections were acted on, want %d", got, want)
	}
	if n := figures.Events["overlap"] + figures.Events["unexpected"] + figures.Events["refused"]; n != 0 {
		t.Errorf("%d packets were taken for an attack", n)
	}
}

// talk says several lines at a time, a segment each, and checks that the other end reads them in order. The session
// with number i has a data port of its own.
func talk(t *testing.T, e *ends, i, rounds int) {
	command, backend := "PASV\r\n", strings.ReplaceAll(e.backend.Addrs.V4.String(), ".", ",")
	reply := fmt.Sprintf("227 Entering Passive Mode (%s,195,%d).\r\n", backend, 10+i)
	read := fmt.Sprintf("227 Entering Passive Mode (192,0,2,10,195,%d)\r\n", 10+i) // without the dot it is as long
	if i%2 == 1 {                                                                  // IPv6
		command, reply = "EPSV\r\n", fmt.Sprintf("229 Entering Extended Passive Mode (|||%d|)\r\n", 50_000+i)
		read = reply
	}
	for range rounds {
		lines := []string{"NOOP\r\n", command, "NOOP\r\n", "TYPE I\r\n", "NOOP\r\n"}
		replies := []string{"200 ok\r\n", reply, "200 ok\r\n", "200 ok\r\n", "200 ok\r\n"}
		if !exchange(t, e, lines, replies, read) {
			return
		}
	}
}

// exchange is fit for any goroutine.
func exchange(t *testing.T, e *ends, lines, replies []string, read string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	deadline, _ := ctx.Deadline()
	for _, step := range []struct {
		from, to interface {
			Read([]byte) (int, error)
			Write([]byte) (int, error)
			SetDeadline(time.Time) error
		}
		texts []string
		want  string
	}{
		{e.client, e.server, lines, strings.Join(lines, "")},
		{e.server, e.client, replies, replies[0] + read + strings.Join(replies[2:], "")},
	} {
		if err := errors.Join(step.from.SetDeadline(deadline), step.to.SetDeadline(deadline)); err != nil {
			t.Error(err)
			return false
		}
		for _, text := range step.texts {
			if _, err := step.from.Write([]byte(text)); err != nil {
				t.Error(err)
				return false
			}
		}
		got := make([]byte, 0, len(step.want))
		for len(got) < len(step.want) {
			n, err := step.to.Read(got[len(got):cap(got)])
			got = got[:len(got)+n]
			if err != nil {
				t.Errorf("read %q, want %q: %v", got, step.want, err)
				return false
			}
		}
		if string(got) != step.want {
			t.Errorf("read %q, want %q", got, step.want)
			return false
		}
	}
	return true
}
