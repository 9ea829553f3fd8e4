package main

import (
	"context"

	"github.com/spf13/cobra"

	"ftpvip/helper/carrier"
	"ftpvip/rules"
	"ftpvip/rules/bind"
	"ftpvip/rules/change"
	"ftpvip/rules/kernel"
)

func (a *app) flushCommand() *cobra.Command {
	cmd := verb("flush", "Remove our table", a.flush)
	cmd.Long = "Remove our table. Established connections go on where the host has other rules for NAT. Where ours were the last, " +
		"the kernel stops translating, and they are reset"
	return cmd
}

// flush needs no configuration: it must work where the file is broken.
func (a *app) flush(ctx context.Context) error {
	unlock, err := a.lock(ctx, lockChange, lockWait)
	if err != nil {
		return err
	}
	defer unlock()
	k, err := kernel.Open()
	if err != nil {
		return err
	}
	defer a.close(k)
	record, err := a.record()
	if err != nil {
		return err
	}
	remember, err := a.remember(record.Flush())
	if err != nil {
		return err
	}
	had := false
	remove := change.Step{Name: "removing the table", Do: func() (err error) {
		had, err = k.Flush()
		return err
	}}
	addresses, err := binding(nil)
	if err != nil {
		return err
	}
	if err := a.change.Carry(remember, bind.Step(addresses), remove); err != nil {
		return err
	}
	if err := carrier.Unregister(); err != nil {
		return err
	}
	what := "removed"
	if !had {
		what = "was not there"
	}
	return write(a.stdout, "table inet %s: %s\n%s", rules.TableName, what, addresses.Text())
}
