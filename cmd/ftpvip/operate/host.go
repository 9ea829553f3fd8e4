package operate

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/helper/carrier"
	"ftpvip/helper/observe"
	"ftpvip/helper/reset"
	"ftpvip/rules/bind"
	"ftpvip/rules/change"
	"ftpvip/rules/doctor"
	"ftpvip/rules/doctor/host"
	"ftpvip/rules/foreign"
	"ftpvip/rules/kernel"
	"ftpvip/rules/walk"
)

// OnHost makes the operator work on this host.
func (o *Operator) OnHost() *Operator {
	o.Kernel, o.Carrier, o.Addresses, o.Sessions, o.Clock = hostKernel{}, hostCarrier{}, hostAddresses{}, hostSessions{}, hostClock{}
	o.Host = hostFacts{}
	o.Change = change.Plain
	return o
}

type hostKernel struct{}

func (hostKernel) Open() (Table, error) { return kernel.Open() }

func (hostKernel) Features() (Features, func() error, error) {
	k, err := kernel.Open()
	if err != nil {
		return nil, nil, err
	}
	return k, k.Close, nil
}

func (hostKernel) HasFlowtables() (bool, error)    { return kernel.HasFlowtables() }
func (hostKernel) Foreign() (*walk.Ruleset, error) { return foreign.Read() }

type hostCarrier struct{}

func (hostCarrier) Choose(mode configs.Carrier) (string, bool, error) { return carrier.Choose(mode) }
func (hostCarrier) Register() error                                   { return carrier.Register() }
func (hostCarrier) Unregister() error                                 { return carrier.Unregister() }

type hostAddresses struct{}

func (hostAddresses) Read() ([]bind.Held, error)              { return bind.Read() }
func (hostAddresses) Apply(p bind.Plan) (func() error, error) { return bind.Apply(p) }

type hostSessions struct{}

func (hostSessions) Count(cfg *configs.Config, ref configs.Ref) (int, error) {
	return reset.Count(cfg, ref)
}

func (hostSessions) Connections(cfg *configs.Config) (map[netip.AddrPort]map[netip.AddrPort]int, error) {
	return observe.ControlConnections(cfg)
}

func (hostSessions) Reset(ctx context.Context, cfg *configs.Config, refs []configs.Ref) (reset.Ended, error) {
	return reset.Sessions(ctx, cfg, refs)
}

type hostFacts struct{}

func (hostFacts) Read(f *doctor.Facts) error { return host.Read(f) }
func (hostFacts) NetAdmin() (bool, error)    { return host.HasNetAdmin() }

func (hostFacts) Saved() []doctor.SavedTable { return host.Saved() }
func (hostFacts) Look() Seen                 { return Look() }

func (hostFacts) Flows(ctx context.Context, cfg *configs.Config) (map[observe.Way]observe.Flow, error) {
	return observe.Flows(ctx, cfg)
}

type hostClock struct{}

func (hostClock) Now() time.Time                         { return time.Now() }
func (hostClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

func (hostClock) Up() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

func (hostClock) Boot() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the kernel's boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// Seen is what only root may read from the kernel.
type Seen struct {
	queues    map[uint16]observe.QueueState
	legacy    []string
	queuesErr error
	legacyErr error
}

// Look reads it. Call it before Source.Enter, which gives up root.
func Look() (s Seen) {
	s.queues, s.queuesErr = observe.Queues()
	s.legacy, s.legacyErr = host.Legacy()
	return s
}
