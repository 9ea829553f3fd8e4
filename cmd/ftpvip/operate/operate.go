// Package operate carries out what commands ask for: it changes state files, the kernel's table, addresses and running
// sessions. A change happens as a whole or not at all. Everything on the host is behind small interfaces; host.go implements them.
package operate

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"time"

	"ftpvip/configs"
	"ftpvip/health/probe"
	"ftpvip/helper/live"
	"ftpvip/helper/observe"
	"ftpvip/helper/reset"
	"ftpvip/rules"
	"ftpvip/rules/bind"
	"ftpvip/rules/change"
	"ftpvip/rules/doctor"
	"ftpvip/rules/walk"
)

// Table is our table in the kernel, as package rules/kernel has it.
type Table interface {
	Read(want *rules.Ruleset) (*rules.Ruleset, error)
	ReadSlots(want *rules.Ruleset) (*rules.Ruleset, error)
	Commit(p *rules.Plan) error       // kernel.ErrChanged: somebody changed the kernel's rules since Read
	CommitAnyway(p *rules.Plan) error // the same where others may have changed their own rules
	Flush() (had bool, err error)
	Exists() (bool, error)
	Counts() (map[string]uint64, error)
	Written() int // bytes, to nf_tables
	Close() error
}

// Features is what a kernel can do.
type Features interface {
	HasQueue() bool
	HasConnlimit() (bool, error)
	HasLimit() (bool, error)
}

// Kernel opens nf_tables.
type Kernel interface {
	Open() (Table, error)
	Features() (Features, func() error, error)
	HasFlowtables() (bool, error)
	Foreign() (*walk.Ruleset, error) // other programs' tables
}

// Carrier is the conntrack helper that control connections carry, as package helper/carrier has it.
type Carrier interface {
	Choose(mode configs.Carrier) (name string, missing bool, err error)
	Register() error
	Unregister() error
}

// Addresses are those of the host's interfaces, as package rules/bind has them.
type Addresses interface {
	Read() ([]bind.Held, error)
	Apply(p bind.Plan) (undo func() error, err error)
}

// Sessions are running control connections, as package helper/reset has them.
type Sessions interface {
	Count(cfg *configs.Config, ref configs.Ref) (int, error)
	Connections(cfg *configs.Config) (map[netip.AddrPort]map[netip.AddrPort]int, error) // by VIP and backend
	Reset(ctx context.Context, cfg *configs.Config, refs []configs.Ref) (reset.Ended, error)
}

// Host is what doctor looks at besides nf_tables, as packages rules/doctor/host and helper/observe have it.
type Host interface {
	Read(f *doctor.Facts) error
	NetAdmin() (bool, error)
	Saved() []doctor.SavedTable
	Look() Seen
	Flows(ctx context.Context, cfg *configs.Config) (map[observe.Way]observe.Flow, error)
}

// Clock is the time, and the id of this boot.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
	Up() time.Duration // since the host started; it does not jump
	Boot() (id string, err error)
}

// Waiter is the process that rolls an apply back unless it is confirmed.
type Waiter interface {
	Await(token string) error // starts waiting for the confirmation of an apply
	Leave() error             // detaches from it; ends it if it has nothing to wait for
	End() error
}

// Operator carries out commands on one state directory. Its fields are set before its methods are called.
type Operator struct {
	Source    *Source
	StateDir  string
	Log       *slog.Logger
	LogLevel  string // for processes that are started
	Kernel    Kernel
	Carrier   Carrier
	Addresses Addresses
	Sessions  Sessions
	Host      Host
	Clock     Clock
	Waiter    Waiter        // of apply --confirm
	Change    change.Runner // carries out the steps of what changes kernel and state files
	Seen      Seen          // by root; rounds look for themselves
	Probes    probe.Set     // of health checks; nil: those that there are

	file atomic.Pointer[loaded]
}

// UsageError says that the request is wrong; nothing was tried.
type UsageError struct{ error }

// Unwrap returns the error itself.
func (e UsageError) Unwrap() error { return e.error }

// Names of the locks in the state directory.
const (
	LockChange = "lock"        // held while state files or the kernel's table change
	lockRound  = "health.lock" // held for a whole round of health checks
)

// lockWait is how long a command waits for each process that holds the lock.
const lockWait = 30 * time.Second

// socket is where a running helper answers.
func (o *Operator) socket() string { return filepath.Join(o.StateDir, live.SocketName) }

// CurrentSessions asks the running helper.
func (o *Operator) CurrentSessions(ctx context.Context) ([]live.Session, error) {
	list, err := live.AskSessions(ctx, o.socket())
	if errors.Is(err, live.ErrNotRunning) {
		return nil, notRunning(err)
	}
	return list, err
}
