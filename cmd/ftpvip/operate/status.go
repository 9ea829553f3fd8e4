package operate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/cmd/ftpvip/report"
	"ftpvip/configs"
	"ftpvip/configs/inforce"
	"ftpvip/configs/servers"
	"ftpvip/configs/statedir"
	"ftpvip/health"
	"ftpvip/helper/live"
	"ftpvip/helper/observe"
	"ftpvip/rules"
	"ftpvip/rules/doctor"
)

// Status returns the state of VIPs, pools, backends and the helper, and what is wrong with them. If the file cannot be used it is
// that of what was applied. Who may not ask nf_tables gets the rest.
func (o *Operator) Status(ctx context.Context) (*report.Status, error) {
	record, err := o.record()
	if err != nil {
		return nil, err
	}
	cfg, id, broken, err := o.shown(record)
	if err != nil {
		return nil, err
	}
	now, err := o.known(cfg)
	if err != nil {
		return nil, err
	}
	at := o.Clock.Now()
	s := report.NewStatus(cfg, now, at)
	s.InForce(record, at)
	if broken != nil {
		s.Broken(o.Source.Path, record.Current.At, broken)
	}
	have, err := o.compare(s, cfg, now)
	if err != nil {
		return nil, err
	}
	figures, deaf := live.AskFigures(ctx, o.socket())
	switch {
	case deaf == nil:
		s.Helper.Live = figures
	case !errors.Is(deaf, live.ErrNotRunning): // else only what /proc says
		s.Helper.Silent = deaf.Error()
	}
	if err := o.helperState(&s.Helper, cfg.Helper); err != nil {
		return nil, err
	}
	for i := range cfg.VIPs {
		s.AddVIP(cfg, &cfg.VIPs[i], have, now)
	}
	s.Unsaved = statedir.HasSpare(o.StateDir)
	s.Judge(record.Current, id)
	found, err := o.examine(ctx, &doctor.Facts{Config: cfg, Command: "ftpvip"}, figures, deaf)
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		if f.Severity == doctor.Error && !told[f.ID] {
			s.AddProblem(f.What, f.ID)
		}
	}
	return s, nil
}

// shown is the configuration that a status is about: the file or, if that cannot be used, what was applied.
func (o *Operator) shown(record inforce.Record) (cfg *configs.Config, id string, broken, err error) {
	if cfg, err = o.config(); err == nil {
		file := inforce.New("", o.file.Load().text, cfg, time.Time{})
		return cfg, file.ID(), nil, nil
	}
	if record.Current == nil {
		return nil, "", nil, err
	}
	cfg, failed := record.Current.Config()
	if failed != nil {
		return nil, "", nil, errors.Join(err, failed)
	}
	return cfg, record.Current.ID(), err, nil
}

// compare notes how the kernel's table differs from the configuration, and returns what the kernel says.
func (o *Operator) compare(s *report.Status, cfg *configs.Config, now health.Known) (have report.Kernel, err error) {
	usable, lacking, err := o.offloadable(cfg)
	if err != nil {
		return have, err
	}
	if lacking {
		s.Warnings = append(s.Warnings, noFlowtables)
	}
	want, _, err := o.build(usable, now)
	if err == nil {
		have, err = o.readKernel(cfg, want)
	}
	if denied(err) {
		s.Denied()
		return have, nil
	}
	if err != nil {
		return have, err
	}
	addresses, err := o.bindingText(cfg)
	if err != nil {
		return have, err
	}
	s.Compare(have.Table, want, addresses)
	return have, nil
}

// denied reports whether the kernel refuses to answer this user.
func denied(err error) bool { return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) }

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

// helperState adds the state of the queues: as the kernel lists them and, where this user may not read that, as the helper itself
// says.
func (o *Operator) helperState(h *report.Helper, cfg configs.Helper) error {
	h.FirstQueue, h.Queues = cfg.FirstQueue, cfg.Queues
	queues, err := o.Seen.queues, o.Seen.queuesErr
	switch {
	case denied(err):
		queues = map[uint16]observe.QueueState{}
		if h.Live != nil {
			for _, q := range h.Live.Queues {
				queues[q.Number] = observe.QueueState{
					Number: q.Number, Waiting: q.Waiting, Dropped: q.Dropped, UserDropped: q.UserDropped, Packets: q.Packets,
				}
			}
		}
	case err != nil:
		return err
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
	return nil
}

// ErrHidden says that a file is not for those who need it.
var ErrHidden = errors.New("permission denied for them")

// Check validates the configuration, and returns settings that FTP servers need. It logs warnings.
func (o *Operator) Check() (*configs.Config, servers.Advice, error) {
	cfg, err := o.config()
	if err != nil {
		return nil, servers.Advice{}, err
	}
	if o.Source.hidden {
		return nil, servers.Advice{}, fmt.Errorf("%s is valid, but the services, which run as the owner of %s, cannot read it: %w; let them with: "+
			"chgrp ftpvip %[1]s; chmod 0640 %[1]s", o.Source.Path, o.StateDir, ErrHidden)
	}
	decisions, err := o.adminFile()
	if err != nil && (!errors.Is(err, fs.ErrPermission) || !statedir.Others(o.StateDir)) { // who may not look there may check a file
		return nil, servers.Advice{}, err
	}
	for _, w := range report.UnknownBackends(cfg, decisions) {
		o.Log.Warn(w)
	}
	if _, err := o.usable(cfg); err != nil {
		return nil, servers.Advice{}, err
	}
	for i := range cfg.Pools {
		o.checkSecret(&cfg.Pools[i])
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
	if err != nil {
		return "", err
	}
	record, err := o.record()
	if err != nil {
		return "", err
	}
	costs, err := o.costs(record.Current, cfg)
	return costs + addresses + rules.Diff(have, want).Text(), err
}

func notRunning(err error) error {
	return fmt.Errorf("%w: start it with `systemctl start ftpvip-helper` or `ftpvip helper`, or name its --state-dir", err)
}

// checkSecret warns of a file with a password that everybody may read.
func (o *Operator) checkSecret(p *configs.Pool) {
	path := p.Health.PasswordFile
	if path == "" {
		return
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		o.Log.Warn("the password for checks cannot be read", "pool", p.Name, "password_file", path, "err", err)
	case info.Mode().Perm()&0o004 != 0:
		o.Log.Warn("everybody may read the password for checks; forbid it with: chmod 0640 FILE; chgrp ftpvip FILE", "pool", p.Name, "password_file", path)
	}
}
