package fair

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// arrival is a packet that comes to the queue.
type arrival struct {
	at   time.Duration
	from *connection
}

type arrivals []arrival

func (a arrivals) Len() int           { return len(a) }
func (a arrivals) Less(i, j int) bool { return a[i].at < a[j].at }
func (a arrivals) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *arrivals) Push(x any)        { *a = append(*a, x.(arrival)) }
func (a *arrivals) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

// connection sends a packet, waits for its answer, thinks, and sends the next. What was dropped is sent again after TCP's
// time-out (RFC 6298).
type connection struct {
	client *client
	tries  int
}

type client struct {
	addr        netip.Addr
	connections int
	cost        time.Duration // of a packet
	think       time.Duration // the mean; 0: it sends as soon as it is answered
	took        []time.Duration
	dropped     int
}

// What the rest of the way takes, and a packet that is dropped.
const (
	roundTrip = 40 * time.Microsecond
	dropCost  = 4 * time.Microsecond
	firstRTO  = 200 * time.Millisecond
)

// simulate runs one reader and its clients, with or without shares.
func simulate(span time.Duration, shares *Shares, clients ...*client) {
	random := rand.New(rand.NewPCG(1, 2))
	var queue arrivals
	next := func(c *connection, at time.Duration) {
		if c.client.think > 0 {
			at += time.Duration(random.ExpFloat64() * float64(c.client.think))
		}
		heap.Push(&queue, arrival{at + roundTrip, c})
	}
	for _, c := range clients {
		for range c.connections {
			next(&connection{client: c}, time.Second+time.Duration(random.IntN(1000))*time.Microsecond)
		}
	}
	now := time.Duration(0)
	for len(queue) > 0 {
		a := heap.Pop(&queue).(arrival)
		if a.at > span {
			return
		}
		now = max(now, a.at)
		c := a.from
		if shares != nil {
			if over, _ := shares.Over(now, c.client.addr); over {
				shares.Charge(now, c.client.addr, dropCost)
				now += dropCost
				c.client.dropped++
				heap.Push(&queue, arrival{now + firstRTO<<min(c.tries, 9), c})
				c.tries++
				continue
			}
			shares.Charge(now, c.client.addr, c.client.cost)
		}
		now += c.client.cost
		c.tries = 0
		c.client.took = append(c.client.took, now-a.at)
		next(c, now)
	}
}

func address(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)}) }

// crowd makes well-behaved clients.
func crowd(n, connections int, think time.Duration) (list []*client) {
	for i := range n {
		list = append(list, &client{addr: address(i + 1), connections: connections, cost: 12 * time.Microsecond, think: think})
	}
	return list
}

// p99 of what all of them waited, and how many packets were dropped.
func p99(list []*client) (took time.Duration, dropped int) {
	var all []time.Duration
	for _, c := range list {
		all = append(all, c.took...)
		dropped += c.dropped
	}
	slices.Sort(all)
	return all[len(all)*99/100], dropped
}

// One client with hundreds of connections, whatever its packets cost and wherever the others come from, does not keep them
// waiting.
func TestSimulatedFlood(t *testing.T) {
	const span = 20 * time.Second
	for _, others := range []int{1, 5, 50, 400} {
		for _, cost := range []time.Duration{5 * time.Microsecond, 80 * time.Microsecond, 400 * time.Microsecond} {
			t.Run(fmt.Sprintf("%d others, packets of %v", others, cost), func(t *testing.T) {
				think := time.Duration(others) * time.Millisecond // 1000 packets a second in all
				alone := crowd(others, 1, think)
				simulate(span, New(), alone...)
				hostile := func() *client { return &client{addr: netip.MustParseAddr("203.0.113.9"), connections: 250, cost: cost} }
				unfair, fair := crowd(others, 1, think), crowd(others, 1, think)
				simulate(span/4, nil, append(unfair, hostile())...)
				h := hostile()
				simulate(span, New(), append(fair, h)...)
				calm, _ := p99(alone)
				before, _ := p99(unfair)
				after, dropped := p99(fair)
				t.Logf("p99 %v alone, %v with the flood, %v with shares; %d packets of the flood handled, %d dropped",
					calm, before, after, len(h.took), h.dropped)
				if after > 3*calm+cost {
					t.Errorf("p99 is %v with the flood and %v without", after, calm)
				}
				if dropped > 0 {
					t.Errorf("%d packets of others were dropped", dropped)
				}
				if len(h.took) == 0 {
					t.Error("the client with the flood had nothing")
				}
			})
		}
	}
}

// Nothing is dropped where all want the same, or where one is alone, however busy the reader is.
func TestSimulatedFullSpeed(t *testing.T) {
	many := append(crowd(16, 1, 0), crowd(300, 1, time.Second)[16:]...)
	for name, list := range map[string][]*client{
		"16 addresses, beside many that say little": many,
		"one address, 16 connections":               crowd(1, 16, 0),
		"one address, 256 connections":              crowd(1, 256, 0),
		"two addresses":                             crowd(2, 16, 0),
		"16 addresses":                              crowd(16, 1, 0),
		"50 addresses, 5 or 6 each":                 append(crowd(44, 5, 0), &client{addr: address(101), connections: 6, cost: 12 * time.Microsecond}),
		"logging in":                                crowd(300, 1, 10*time.Millisecond),
	} {
		t.Run(name, func(t *testing.T) {
			simulate(5*time.Second, New(), list...)
			if took, dropped := p99(list); dropped > 0 {
				t.Errorf("%d packets were dropped (p99 %v)", dropped, took)
			}
		})
	}
}
