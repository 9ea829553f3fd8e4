// Package admit bounds how many connections a server has at a time. A new one replaces the oldest that the server does not
// work for, so those who connect and say nothing, or say it slowly, keep nobody out.
package admit

import (
	"errors"
	"net"
	"slices"
	"sync"
)

// Listener has at most a given number of connections open.
type Listener struct {
	net.Listener
	max int

	mu   sync.Mutex
	open []*Conn // the oldest first
}

// Listen bounds the connections of a listener to limit.
func Listen(l net.Listener, limit int) *Listener { return &Listener{Listener: l, max: limit} }

// Conn is a connection of a Listener.
type Conn struct {
	net.Conn
	listener *Listener
	busy     bool
}

// Accept waits for the next connection, a *Conn. If the server works for all that it has, newcomers are closed.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		conn := &Conn{Conn: c, listener: l}
		replaced, ok := l.add(conn)
		if replaced != nil {
			_ = replaced.Conn.Close() // whoever reads from it is told
		}
		if ok {
			return conn, nil
		}
		_ = c.Close()
	}
}

// add makes room and takes the connection in.
func (l *Listener) add(c *Conn) (replaced *Conn, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.max {
		i := slices.IndexFunc(l.open, func(c *Conn) bool { return !c.busy })
		if i < 0 {
			return nil, false
		}
		replaced = l.open[i]
		l.open = slices.Delete(l.open, i, i+1)
	}
	l.open = append(l.open, c)
	return replaced, true
}

// Busy says whether the server works for the connection, which then stays.
func (c *Conn) Busy(busy bool) {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.busy = busy
}

// Close closes the connection and makes room for another.
func (c *Conn) Close() error {
	l := c.listener
	l.mu.Lock()
	i := slices.Index(l.open, c)
	if i >= 0 {
		l.open = slices.Delete(l.open, i, i+1)
	}
	l.mu.Unlock()
	err := c.Conn.Close()
	if i < 0 && errors.Is(err, net.ErrClosed) {
		return nil // it was replaced
	}
	return err
}
