package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ftpvip/configs"
	"ftpvip/helper/carrier"
	"ftpvip/rules"
	"ftpvip/rules/kernel"
)

func (a *app) applyCommand() *cobra.Command {
	cmd := verb("apply", "Make the kernel match the configuration", nil)
	dryRun := cmd.Flags().Bool("dry-run", false, "change nothing, print the whole table as nft text")
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		json, err := asJSON()
		if err != nil {
			return err
		}
		if *dryRun {
			return fail(a.dryRun(), exitFailure)
		}
		return fail(a.apply(cmd.Context(), json), exitFailure)
	}
	return cmd
}

// dryRun prints what apply would make of an empty kernel.
func (a *app) dryRun() error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	want, unregistered, err := a.desired(cfg)
	if err != nil {
		return err
	}
	if unregistered {
		err := write(a.stdout, "# The conntrack helper %q is not registered yet: apply does that first, a dry run does not, and\n"+
			"# until then nft refuses this text. Text that loads at once: ftpvip apply --dry-run --carrier sane\n",
			rules.CTHelperName)
		if err != nil {
			return err
		}
	}
	return write(a.stdout, "%s", want.Text())
}

func (a *app) apply(ctx context.Context, asJSON bool) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	unlock, err := a.lock(ctx, lockChange, lockWait)
	if err != nil {
		return err
	}
	defer unlock()
	want, unregistered, err := a.desired(cfg)
	if err != nil {
		return err
	}
	k, err := kernel.Open()
	if err != nil {
		return err
	}
	defer a.close(k)
	if unregistered {
		if err := carrier.Register(); err != nil {
			return err
		}
	}
	p, err := commitTo(want, k, func() (*rules.Ruleset, error) { return k.Read(want) },
		func(have *rules.Ruleset) *rules.Plan { return rules.Diff(have, want) })
	if err != nil {
		return err
	}
	return a.printApplied(cfg, p, asJSON)
}

func (a *app) printApplied(cfg *configs.Config, p *rules.Plan, asJSON bool) error {
	deleted, added := p.Elements()
	if asJSON {
		return writeJSON(a.stdout, map[string]any{
			"changed": !p.Empty(), "elements_only": !p.Empty() && p.ElementsOnly(),
			"elements_deleted": deleted, "elements_added": added, "changes": lines(p.Text()),
		})
	}
	what := "nothing changed"
	switch {
	case p.Create:
		what = fmt.Sprintf("created, %d elements", added)
	case p.Recreate:
		what = fmt.Sprintf("made anew, %d elements", added)
	case !p.Empty() && p.ElementsOnly():
		what = fmt.Sprintf("changed: %d elements deleted, %d added", deleted, added)
	case !p.Empty():
		what = fmt.Sprintf("changed: %d elements deleted, %d added, and more than elements", deleted, added)
	}
	return write(a.stdout, "table inet %s: %s (VIPs %d, pools %d)\n", rules.TableName, what, len(cfg.VIPs), len(cfg.Pools))
}

// close closes the kernel's connection; there is nothing that an admin could do about an error.
func (a *app) close(k *kernel.Kernel) {
	if err := k.Close(); err != nil {
		a.log.Debug("cannot close the netlink socket", "err", err)
	}
}

func lines(text string) []string {
	if text == "" {
		return []string{}
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
