package operate

import (
	"context"
	"errors"
	"net/netip"

	"ftpvip/cmd/ftpvip/report"
	"ftpvip/configs"
	"ftpvip/helper/carrier"
	"ftpvip/helper/live"
	"ftpvip/helper/observe"
	"ftpvip/rules"
	"ftpvip/rules/doctor"
	"ftpvip/rules/doctor/host"
)

// Doctor looks for problems with FTP on this host. An invalid client stands for any client; command is how ftpvip was called.
func (o *Operator) Doctor(ctx context.Context, client netip.Addr, command string) ([]doctor.Finding, error) {
	cfg, err := o.config()
	if err != nil {
		return nil, err
	}
	facts := &doctor.Facts{Config: cfg, Client: client, Command: command, Legacy: o.Seen.legacy}
	if err := errors.Join(o.Seen.legacyErr, host.Read(facts)); err != nil {
		return nil, err
	}
	admin, err := host.HasNetAdmin()
	if err != nil {
		return nil, err
	}
	if facts.NoAdmin = !admin; admin {
		if err := o.askKernel(ctx, facts); err != nil {
			return nil, err
		}
	}
	return doctor.Judge(facts), nil
}

// askFeatures adds the features of the kernel and other programs' rules.
func (o *Operator) askFeatures(facts *doctor.Facts) error {
	f, done, err := o.Kernel.Features()
	if err != nil {
		return err
	}
	defer func() {
		if err := done(); err != nil {
			o.Log.Debug("cannot close the netlink socket", "err", err)
		}
	}()
	facts.Kernel.Queue = f.HasQueue()
	if facts.Kernel.Connlimit, err = f.HasConnlimit(); err != nil {
		return err
	}
	if facts.Kernel.Limit, err = f.HasLimit(); err != nil {
		return err
	}
	if facts.Config.Offloads() {
		if facts.Kernel.Flowtables, err = o.Kernel.HasFlowtables(); err != nil {
			return err
		}
	}
	if facts.Foreign, err = o.Kernel.Foreign(); err != nil {
		facts.ForeignErr = err.Error()
	}
	return nil
}

// askTable adds what apply would change in our table.
func (o *Operator) askTable(facts *doctor.Facts) error {
	want, _, err := o.desired(facts.Config)
	if errors.Is(err, carrier.ErrUnavailable) { // judged by Kernel.CTHelper
		return nil
	}
	if err != nil {
		return err
	}
	k, err := o.Kernel.Open()
	if err != nil {
		return err
	}
	defer o.close(k)
	have, err := k.Read(want)
	if err != nil {
		return err
	}
	facts.Table = doctor.Table{Missing: have == nil, Changes: report.Lines(rules.Diff(have, want).Text())}
	return nil
}

// askKernel adds what needs CAP_NET_ADMIN.
func (o *Operator) askKernel(ctx context.Context, facts *doctor.Facts) error {
	cfg := facts.Config
	if err := o.askFeatures(facts); err != nil {
		return err
	}
	name, _, err := o.Carrier.Choose(configs.CarrierCTHelper)
	if err != nil && !errors.Is(err, carrier.ErrUnavailable) {
		return err
	}
	facts.Kernel.CTHelper = err == nil && name == rules.CTHelperName
	if err := o.askTable(facts); err != nil {
		return err
	}
	flows, err := observe.Flows(ctx, cfg)
	if err != nil {
		return err
	}
	facts.Flows = map[doctor.FlowKey]doctor.Flow{}
	for w, n := range flows {
		facts.Flows[doctor.FlowKey(w)] = doctor.Flow(n)
	}
	var state report.Helper
	if state.Live, err = live.AskFigures(ctx, o.socket()); err != nil {
		state.Live = nil
	}
	if err := o.helperState(&state, cfg.Helper); err != nil {
		return err
	}
	facts.Unheard = state.Unheard
	file, err := o.healthFile(cfg)
	if err != nil {
		return err
	}
	facts.Down = file.Down()
	return nil
}
