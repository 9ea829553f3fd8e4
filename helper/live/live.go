// Package live hands a running helper's figures to other processes, through a unix socket in the state directory.
//
// The protocol: the client sends one line of JSON, {"get":"figures"} or {"get":"sessions"}, and the helper answers
// with one JSON document and closes the connection. An answer {"error":"..."} says what was wrong. Fields are added
// over time; what a reader does not know it ignores.
package live

import (
	"iter"
	"net/netip"
	"time"
)

// SocketName is the socket's name in the state directory.
const SocketName = "helper.sock"

// Source is who knows.
type Source interface {
	Figures() Figures
	Sessions() iter.Seq[Session] // in any order; thousands of them need not be in memory at once
}

// Figures is what a helper has counted since it started.
type Figures struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Config  string    `json:"config,omitempty"` // id of the configuration that it works with

	SessionsTotal   uint64 `json:"sessions_total"`
	SessionsCurrent uint64 `json:"sessions_current"`

	Packets      uint64            `json:"packets"`
	Unread       map[string]uint64 `json:"unread"`       // packets that no session read, by reason
	Throttled    uint64            `json:"throttled"`    // packets dropped because their client used more than its share
	Commands     map[string]uint64 `json:"commands"`     // by verb
	Rewrites     map[string]uint64 `json:"rewrites"`     // by announcing verb
	Expectations map[string]uint64 `json:"expectations"` // by outcome
	Refusals     map[string]uint64 `json:"refusals"`     // by reason
	Events       map[string]uint64 `json:"events"`       // by kind
	Data         map[string]uint64 `json:"data"`         // data connections by outcome
	Awaited      uint64            `json:"awaited"`      // data connections that are announced and not open
	Transfers    []Transfer        `json:"transfers"`
	Queues       []Queue           `json:"queues"`
	Conntrack    Conntrack         `json:"conntrack"`
	Latency      Histogram         `json:"latency"`

	Renewed         uint64            `json:"announced_again"`             // the host had dropped the first packet of a data connection
	TLSWithoutSlice map[string]uint64 `json:"tls_without_slice,omitempty"` // sessions in TLS, by VIP/backend, where the backend has no passive slice
}

// Transfer adds up transfers of one mode and direction.
type Transfer struct {
	Mode      string `json:"mode"`      // passive, active
	Direction string `json:"direction"` // download, upload, listing, unknown
	Count     uint64 `json:"count"`
	Uncounted uint64 `json:"uncounted"` // how many of them have no bytes known
	Bytes     uint64 `json:"bytes"`     // as conntrack counts, with IP and TCP headers
}

// Queue is the kernel's word on one queue.
type Queue struct {
	Number      uint16 `json:"number"`
	Waiting     uint32 `json:"waiting"`
	Dropped     uint32 `json:"dropped"`      // since the queue was full
	UserDropped uint32 `json:"user_dropped"` // since the helper's socket was full
	Gone        uint64 `json:"gone"`         // before their verdict, with their network device
	Packets     uint32 `json:"packets"`
}

// Conntrack is how full the kernel's table of connections is.
type Conntrack struct {
	Entries uint64 `json:"entries"`
	Limit   uint64 `json:"limit"`
	Dropped uint64 `json:"dropped"` // packets and connections that found no room, or made it
}

// Histogram is the time from a packet's arrival to its verdict.
type Histogram struct {
	Bounds []float64 `json:"bounds"` // upper bounds in seconds
	Counts []uint64  `json:"counts"` // up to each bound, not cumulated; the last, beyond all bounds, has none
	Sum    float64   `json:"sum"`    // in seconds
}

// Count is how many packets there were.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Session is one current control connection.
type Session struct {
	VIP       string         `json:"vip"`
	Backend   string         `json:"backend"`
	Client    netip.AddrPort `json:"client"`
	User      string         `json:"user,omitempty"`
	TLS       bool           `json:"tls"`
	PickedUp  bool           `json:"picked_up"` // it began before the helper did
	Since     time.Time      `json:"since"`
	Last      time.Time      `json:"last_packet"`
	Commands  uint32         `json:"commands"`
	Refused   uint32         `json:"refused"`
	Failed    int            `json:"failed_data"`
	Open      int            `json:"open_data"`  // data connections that are open now
	OpenBytes uint64         `json:"open_bytes"` // what those have carried so far
	Transfers []Transfer     `json:"transfers"`
}

// Total adds up a session's transfers, with those that are going on. known is false where the bytes of some are
// unknown.
func (s *Session) Total() (count, bytes uint64, known bool) {
	count, bytes, known = uint64(s.Open), s.OpenBytes, s.Open == 0 || s.OpenBytes > 0
	for _, t := range s.Transfers {
		count += t.Count
		bytes += t.Bytes
		known = known && t.Uncounted == 0
	}
	return count, bytes, known
}
