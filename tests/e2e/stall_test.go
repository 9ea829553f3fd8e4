package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab/client"
)

// Of TestOneClientStallsNobody: the sessions of the hostile client, and those of the others, so many at a time; and the
// lines of the flood in one write, and how long until the next. That is 25 KB a second: enough to tell a helper that
// stalls (it did at 15), and no more than servers in a virtual machine can answer. `make bench-hostile` has no such limit.
const (
	stallSessions = 250
	stallOthers   = 50
	stallAtOnce   = 5
	stallLines    = 50
	stallPace     = 50 * time.Millisecond
)

// TestOneClientStallsNobody has one address announce a PORT in each of 250 sessions, which the default quota allows, and then
// repeat it in all of them, in half of the sessions in turn with another. Others log in and transfer meanwhile,
// and all of them succeed. The client that is held back is still served.
func TestOneClientStallsNobody(t *testing.T) {
	f := newFarm(t, arrangement{clients: 6})
	v := f.vips[0]
	f.ftpvip.Log = "info" // thousands of lines a second are no test of this
	f.helper.Kill()
	f.startHelper(t)
	want := content("stall", 20_000)
	v.put(t, "stall", want)

	ctx, stop := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	var answered atomic.Int64
	var sessions []*client.Session
	for i := range stallSessions {
		s := f.dial(t, v, f.ClientAddrs[0].V4, configs.IPv4)
		must(t, s.Active(client.PORT, netip.AddrPortFrom(f.ClientAddrs[0].V4, stallPort(i, 1))))
		sessions = append(sessions, s)
	}
	pace := time.NewTicker(stallPace)
	defer pace.Stop()
	for i, s := range sessions {
		lines := []byte(strings.Repeat(portLine(f, i, 1)+portLine(f, i, 1+i%2), stallLines/2))
		flood.Go(func() { repeat(ctx, s, lines, pace.C, &answered) })
	}
	defer flood.Wait()
	defer stop()
	eventually(t, "the flood is on", func() bool { return answered.Load() > 10*stallSessions })

	transfer := func(i int) (time.Duration, error) {
		start := time.Now()
		s, err := client.Dial(t.Context(), f.Client, f.ClientAddrs[1+i%stallAtOnce].V4, v.at(configs.IPv4))
		if err != nil {
			return 0, fmt.Errorf("logging in: %w", err)
		}
		defer s.Abandon()
		var got bytes.Buffer
		if _, err := s.Download(t.Context(), client.PASV, "stall", &got); err != nil {
			return 0, err
		}
		if !bytes.Equal(got.Bytes(), want) {
			return 0, errors.New("other bytes came")
		}
		return time.Since(start), s.Close()
	}
	var others sync.WaitGroup
	var total atomic.Int64
	for first := range stallAtOnce {
		others.Go(func() {
			for i := first; i < stallOthers; i += stallAtOnce {
				took, err := transfer(i)
				if err != nil {
					t.Errorf("session %d of another client: %v", i, err)
				}
				total.Add(int64(took))
			}
		})
	}
	others.Wait()
	before := answered.Load()
	eventually(t, "the client with the flood is answered", func() bool { return answered.Load() > before })
	figures := f.figures(t)
	t.Logf("a session of the others took %v on average; %d lines of the flood were answered, %d packets dropped",
		time.Duration(total.Load()/stallOthers).Round(time.Millisecond), answered.Load(), figures.Throttled)
}

// portLine is a PORT of the first client, to one of two ports of a session.
func portLine(f *farm, session, n int) string {
	port := stallPort(session, n)
	return fmt.Sprintf("PORT %s,%d,%d\r\n", strings.ReplaceAll(f.ClientAddrs[0].V4.String(), ".", ","), port>>8, port&255)
}

func stallPort(session, n int) uint16 { return uint16(20000 + 2*session + n) }

// repeat says the same lines over and over, when it is its turn, and counts the answers, until ctx ends.
func repeat(ctx context.Context, s *client.Session, lines []byte, turn <-chan time.Time, answered *atomic.Int64) {
	conn := s.Conn()
	_ = conn.SetDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var reader sync.WaitGroup
	reader.Go(func() {
		_, _ = io.Copy(lineCounter{answered}, conn)
	})
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			continue
		case <-turn:
		}
		if _, err := conn.Write(lines); err != nil {
			break // closed: by us, or by a server that had enough
		}
	}
	reader.Wait()
}

// lineCounter counts the lines that are written to it.
type lineCounter struct{ n *atomic.Int64 }

// Write implements io.Writer.
func (c lineCounter) Write(b []byte) (int, error) {
	c.n.Add(int64(bytes.Count(b, []byte("\n"))))
	return len(b), nil
}
