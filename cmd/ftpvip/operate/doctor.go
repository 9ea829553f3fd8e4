package operate

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"

	"ftpvip/cmd/ftpvip/report"
	"ftpvip/configs"
	"ftpvip/configs/statedir"
	"ftpvip/helper/carrier"
	"ftpvip/helper/live"
	"ftpvip/rules"
	"ftpvip/rules/doctor"
)

// Doctor looks for problems with FTP on this host. An invalid client stands for any client; command is how ftpvip was called. If
// the file cannot be used, it looks at what was applied.
func (o *Operator) Doctor(ctx context.Context, client netip.Addr, command string) ([]doctor.Finding, error) {
	record, err := o.record()
	if err != nil {
		return nil, err
	}
	cfg, _, broken, err := o.shown(record)
	if err != nil {
		return nil, err
	}
	facts := &doctor.Facts{Config: cfg, Client: client, Command: command}
	if broken != nil {
		facts.ConfigError = broken.Error()
	}
	if record.Current != nil {
		facts.AppliedID = record.Current.ID()
	}
	figures, err := live.AskFigures(ctx, o.socket())
	return o.examine(ctx, facts, figures, err)
}

// examine fills in the facts and judges them. figures are what the helper answered, or deaf is why it did not.
func (o *Operator) examine(ctx context.Context, facts *doctor.Facts, figures *live.Figures, deaf error) ([]doctor.Finding, error) {
	var helper report.Helper
	switch {
	case deaf == nil:
		helper.Live, facts.HelperID, facts.NoSlice = figures, figures.Config, figures.TLSWithoutSlice
	case !errors.Is(deaf, live.ErrNotRunning) && !denied(deaf) && !errors.Is(deaf, fs.ErrPermission):
		facts.Deaf = deaf.Error()
	}
	facts.Legacy, facts.StateDir = o.Seen.legacy, o.StateDir
	if err := errors.Join(o.Seen.legacyErr, o.Host.Read(facts)); err != nil {
		return nil, err
	}
	if err := statedir.Writable(o.StateDir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		facts.Unwritable = err.Error()
	}
	admin, err := o.Host.NetAdmin()
	if err != nil {
		return nil, err
	}
	if facts.NoAdmin = !admin; admin {
		if err := o.askKernel(ctx, facts, helper); err != nil {
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
func (o *Operator) askKernel(ctx context.Context, facts *doctor.Facts, state report.Helper) error {
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
	flows, err := o.Host.Flows(ctx, cfg)
	if err != nil {
		return err
	}
	facts.Flows = map[doctor.FlowKey]doctor.Flow{}
	for w, n := range flows {
		facts.Flows[doctor.FlowKey(w)] = doctor.Flow(n)
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
