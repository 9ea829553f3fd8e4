package operate

import (
	"context"

	"ftpvip/cmd/ftpvip/report"
	"ftpvip/rules/change"
)

// Flush removes our table. It must work with a broken configuration file, so it does not read it.
func (o *Operator) Flush(ctx context.Context) (done report.Flushed, err error) {
	unlock, err := o.lockChange(ctx)
	if err != nil {
		return done, err
	}
	defer unlock()
	k, err := o.Kernel.Open()
	if err != nil {
		return done, err
	}
	defer o.close(k)
	record, err := o.record()
	if err != nil {
		return done, err
	}
	remember, err := o.recordStep(record.Flush())
	if err != nil {
		return done, err
	}
	remove := change.Step{Name: "removing the table", Do: func() (err error) {
		done.Table, err = k.Flush()
		return err
	}}
	addresses, err := o.binding(nil)
	if err != nil {
		return done, err
	}
	if err := o.Change.Carry(remember, o.bindStep(addresses), remove); err != nil {
		return done, err
	}
	if err := o.Carrier.Unregister(); err != nil {
		return done, err
	}
	done.Addresses = addresses.Text()
	return done, nil
}
