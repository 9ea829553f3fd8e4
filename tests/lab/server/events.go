package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
)

// Event is one data connection as an embedded server saw it, a line of its standard output.
type Event struct {
	Client  string         `json:"client"`  // the password that the client gave, which says who it is
	Control netip.AddrPort `json:"control"` // the control connection's other end
	Peer    netip.AddrPort `json:"peer"`    // the data connection's other end
	Local   netip.AddrPort `json:"local"`   // and its near end
}

// report writes events, one line each.
type report struct {
	mu  sync.Mutex
	out *json.Encoder
}

func (r *report) write(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.out.Encode(e)
}

// errNoEvents is for servers that do not tell.
var errNoEvents = errors.New("only the embedded server tells what it saw")

// Saw waits for the next data connection of the client that gave this password, in their order, each once.
func (s *Server) Saw(ctx context.Context, client string) (Event, error) {
	if s.Kind != Embedded {
		return Event{}, errNoEvents
	}
	for {
		e, ok, changed := s.events.take(client)
		if ok {
			return e, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Event{}, fmt.Errorf("waiting for %s to see a data connection: %w", s.Name, context.Cause(ctx))
		}
	}
}

// events collects what an embedded server prints.
type events struct {
	mu      sync.Mutex
	rest    []byte // a line that has not ended yet
	list    []Event
	changed chan struct{} // closed when there is more
}

func newEvents() *events { return &events{changed: make(chan struct{})} }

// take removes the client's first event.
func (v *events) take(client string) (e Event, ok bool, changed <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	i := slices.IndexFunc(v.list, func(e Event) bool { return e.Client == client })
	if i < 0 {
		return Event{}, false, v.changed
	}
	e = v.list[i]
	v.list = slices.Delete(v.list, i, i+1)
	return e, true, v.changed
}

// Write implements io.Writer.
func (v *events) Write(b []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.rest = append(v.rest, b...)
	for {
		line, rest, ok := bytes.Cut(v.rest, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		v.rest = rest
		var e Event
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		v.list = append(v.list, e)
		close(v.changed)
		v.changed = make(chan struct{})
	}
}
