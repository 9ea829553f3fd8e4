package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// failover lets the first server die and come back, and watches where new sessions land and whether a transfer
// from the other one goes on.
func (d *demo) failover(ctx context.Context) error {
	victim, survivor := d.servers[0], d.servers[1]
	var froms []netip.Addr
	for _, f := range configs.Families {
		for _, a := range d.lab.ClientAddrs {
			froms = append(froms, a.Of(f))
		}
	}

	d.story.heading("%s dies; new sessions all land on %s, and a transfer that runs there goes on", victim.Name, survivor.Name)
	before := d.landings(ctx, froms)
	slow, err := d.startSlow(ctx, survivor, froms)
	if err != nil {
		return err
	}
	victim.Kill()
	d.story.say("   backend1# kill -9 %s", victim.Name)
	for i := range fall {
		if err := d.show(ctx, "health", fmt.Sprintf("failure %d of %d", i+1, fall)); err != nil {
			return err
		}
	}
	down := d.landings(ctx, froms)
	slow.hurry()
	slowErr := slow.wait(ctx)

	d.story.heading("%s comes back, and so do its clients", victim.Name)
	if d.servers[0], err = server.Start(ctx, d.lab, victim.Backend, server.Embedded, victim.Name); err != nil {
		return err
	}
	d.story.say("   backend1# %s &", victim.Name)
	if err := d.show(ctx, "health", "one success is enough here"); err != nil {
		return err
	}
	back := d.landings(ctx, froms)

	var rows [][]string
	used := map[string]bool{}
	for i, from := range froms {
		used[before[i].name] = true
		rows = append(rows, []string{
			from.String(), before[i].String(), down[i].String(), back[i].String(),
			d.mark(judge(before[i], down[i], back[i], survivor.Name)),
		})
	}
	d.story.say("")
	d.story.table([]string{"NEW SESSION FROM", "BEFORE", victim.Name + " DEAD", victim.Name + " BACK", "RESULT"}, rows)
	var both error
	if len(used) != len(d.servers) {
		both = fmt.Errorf("only %v got sessions before", used)
	}
	d.story.say("   both servers had clients before: %s", d.mark(both))
	d.story.say("   %s download from %s, begun before %s died: %s", byteCount(slow.bytes), survivor.Name, victim.Name, d.mark(slowErr))
	return nil
}

// landing is where a new session ended up.
type landing struct {
	name string
	err  error
}

func (l landing) String() string {
	if l.err != nil {
		return "nowhere"
	}
	return l.name
}

// judge decides on one client: on the survivor while the other was dead, and where it was before when it is back.
func judge(before, down, back landing, survivor string) error {
	if err := errors.Join(before.err, down.err, back.err); err != nil {
		return err
	}
	if down.name != survivor {
		return fmt.Errorf("not on %s", survivor)
	}
	if back.name != before.name {
		return errors.New("it did not return")
	}
	return nil
}

// landings opens a session from every address.
func (d *demo) landings(ctx context.Context, froms []netip.Addr) []landing {
	list := make([]landing, len(froms))
	for i, from := range froms {
		banner, err := client.Greeting(ctx, d.lab.Client, from, d.vip(configs.FamilyOf(from)))
		switch s := d.server(banner); {
		case err != nil:
			list[i].err = err
		case s == nil:
			list[i].err = fmt.Errorf("nobody of ours greets with %q", banner)
		default:
			list[i].name = s.Name
		}
	}
	return list
}

// slowly is a download that does not get on until it is told to.
type slowly struct {
	gate  chan struct{}
	done  chan error
	bytes int64
}

func (s *slowly) hurry() { close(s.gate) }

func (s *slowly) wait(ctx context.Context) error {
	select {
	case err := <-s.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// slowFile is large enough that no socket buffer holds it all.
const slowFile = 32 * size

// startSlow begins a large download from one server, in passive mode and from whichever address leads there.
func (d *demo) startSlow(ctx context.Context, from *server.Server, froms []netip.Addr) (*slowly, error) {
	want := bytes.Repeat(content(0), slowFile/size)
	if err := from.Put("large", want); err != nil {
		return nil, err
	}
	for _, addr := range froms {
		c, err := client.Dial(ctx, d.lab.Client, addr, d.vip(configs.FamilyOf(addr)))
		if err != nil {
			return nil, err
		}
		if !from.Greets(c.Banner) {
			c.Abandon()
			continue
		}
		s := &slowly{gate: make(chan struct{}), done: make(chan error, 1)}
		first := make(chan struct{})
		go func() {
			defer c.Abandon()
			var got bytes.Buffer
			t, err := c.Download(ctx, client.EPSV, "large", &gated{w: &got, first: first, gate: s.gate})
			s.bytes = t.Bytes
			if err == nil && !bytes.Equal(got.Bytes(), want) {
				err = errors.New("content differs")
			}
			s.done <- err
		}()
		select {
		case <-first:
			return s, nil
		case err := <-s.done:
			return nil, err
		case <-time.After(10 * time.Second):
			return nil, errors.New("the slow download does not begin")
		}
	}
	return nil, fmt.Errorf("no client address leads to %s", from.Name)
}

// gated is a writer that stops after the first write until the gate is open.
type gated struct {
	w     io.Writer
	first chan struct{}
	gate  <-chan struct{}
	began bool
}

// Write implements io.Writer.
func (g *gated) Write(b []byte) (int, error) {
	if !g.began {
		g.began = true
		close(g.first)
	}
	<-g.gate
	return g.w.Write(b)
}

func byteCount(n int64) string { return fmt.Sprintf("%d MiB", n/size) }
