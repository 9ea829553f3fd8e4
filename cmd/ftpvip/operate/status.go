package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"ftpvip/cmd/ftpvip/report"
	"ftpvip/configs"
	"ftpvip/configs/servers"
	"ftpvip/helper/live"
	"ftpvip/rules"
)

// Status returns the state of VIPs, pools, backends and the helper.
func (o *Operator) Status(ctx context.Context) (*report.Status, error) {
	cfg, err := o.config()
	if err != nil {
		return nil, err
	}
	now, err := o.known(cfg)
	if err != nil {
		return nil, err
	}
	usable, lacking, err := o.offloadable(cfg)
	if err != nil {
		return nil, err
	}
	want, _, err := o.build(usable, now)
	if err != nil {
		return nil, err
	}
	have, err := o.readKernel(cfg, want)
	if err != nil {
		return nil, err
	}
	at := o.Clock.Now()
	s := report.NewStatus(cfg, now, at)
	if lacking {
		s.Warnings = append(s.Warnings, noFlowtables)
	}
	record, err := o.record()
	if err != nil {
		return nil, err
	}
	s.InForce(record, at)
	addresses, err := o.bindingText(cfg)
	if err != nil {
		return nil, err
	}
	s.Compare(have.Table, want, addresses)
	if s.Helper, err = o.helperState(cfg.Helper); err != nil {
		return nil, err
	}
	s.Helper.Live, err = live.AskFigures(ctx, o.socket())
	if err != nil {
		s.Helper.Live = nil // only what /proc says
		if !errors.Is(err, live.ErrNotRunning) {
			o.Log.Warn("the helper's own figures are missing", "err", err)
		}
	}
	for i := range cfg.VIPs {
		s.AddVIP(cfg, &cfg.VIPs[i], have, now)
	}
	return s, nil
}

// readKernel reads from the kernel what a status shows.
func (o *Operator) readKernel(cfg *configs.Config, want *rules.Ruleset) (have report.Kernel, err error) {
	k, err := o.Kernel.Open()
	if err != nil {
		return have, err
	}
	defer o.close(k)
	if have.Table, err = k.Read(want); err != nil {
		return have, err
	}
	if have.Counts, err = k.Counts(); err != nil {
		return have, err
	}
	have.Connections, err = o.Sessions.Connections(cfg)
	return have, err
}

func (o *Operator) helperState(cfg configs.Helper) (report.Helper, error) {
	h := report.Helper{FirstQueue: cfg.FirstQueue, Queues: cfg.Queues}
	queues, err := o.Seen.queues, o.Seen.queuesErr
	if err != nil {
		return h, err
	}
	for i := range cfg.Queues {
		n := cfg.FirstQueue + uint16(i)
		q, ok := queues[n]
		if !ok {
			h.Unheard = append(h.Unheard, n)
			continue
		}
		h.Waiting += q.Waiting
		h.Dropped += q.Dropped + q.UserDropped
		h.Packets += q.Packets
	}
	slices.Sort(h.Unheard)
	h.Listening = len(h.Unheard) == 0
	return h, nil
}

// Check validates the configuration, and returns settings that FTP servers need. It logs warnings.
func (o *Operator) Check() (*configs.Config, servers.Advice, error) {
	cfg, err := o.config()
	if err != nil {
		return nil, servers.Advice{}, err
	}
	decisions, err := o.adminFile()
	if err != nil {
		return nil, servers.Advice{}, err
	}
	for _, w := range report.UnknownBackends(cfg, decisions) {
		o.Log.Warn(w)
	}
	if _, err := o.usable(cfg); err != nil {
		return nil, servers.Advice{}, err
	}
	advice := servers.For(cfg)
	for _, w := range advice.Warnings {
		o.Log.Warn(w)
	}
	return cfg, advice, nil
}

// Diff is what apply would change, a line for each thing.
func (o *Operator) Diff() (string, error) {
	cfg, err := o.config()
	if err != nil {
		return "", err
	}
	want, _, err := o.desired(cfg)
	if err != nil {
		return "", err
	}
	k, err := o.Kernel.Open()
	if err != nil {
		return "", err
	}
	defer o.close(k)
	have, err := k.Read(want)
	if err != nil {
		return "", err
	}
	addresses, err := o.bindingText(cfg)
	return addresses + rules.Diff(have, want).Text(), err
}

func notRunning(err error) error {
	return fmt.Errorf("%w: start it with `systemctl start ftpvip-helper` or `ftpvip helper`, or name its --state-dir", err)
}
