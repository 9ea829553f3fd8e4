package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ftpvip/configs"
	"ftpvip/helper"
	"ftpvip/helper/carrier"
	"ftpvip/rules"
	"ftpvip/rules/doctor"
	"ftpvip/rules/doctor/host"
	"ftpvip/rules/kernel"
)

func (a *app) doctorCommand() *cobra.Command {
	cmd := verb("doctor", "Look for what stands in the way of FTP on this host (exit code 1: something)", nil)
	cmd.PreRunE = a.look
	cmd.Long = "Looks at the live host, and changes nothing: forwarding, routes, other programs' firewall rules, conntrack.\n" +
		"Says of each finding what is wrong, why it matters, and the command that mends it.\n" +
		"Exit code: 0 nothing but notes, 1 errors or warnings, 2 doctor itself failed."
	client := cmd.Flags().String("client", "", "judge by the way to this client's address; otherwise by all links that clients may come by")
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		json, err := asJSON()
		if err != nil {
			return err
		}
		var addr netip.Addr
		if *client != "" {
			if addr, err = netip.ParseAddr(*client); err != nil {
				return &exitError{exitUsage, fmt.Errorf("--client %q: an IP address is wanted", *client)}
			}
		}
		return fail(a.doctor(cmd, addr.Unmap(), json), exitTrouble)
	}
	return cmd
}

func (a *app) doctor(cmd *cobra.Command, client netip.Addr, asJSON bool) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	facts := &doctor.Facts{Config: cfg, Client: client, Command: a.commandLine(cmd), Legacy: a.seen.legacy}
	if err := errors.Join(a.seen.legacyErr, host.Read(facts)); err != nil {
		return err
	}
	admin, err := host.HasNetAdmin()
	if err != nil {
		return err
	}
	if facts.NoAdmin = !admin; admin {
		if err := a.askKernel(cmd.Context(), facts); err != nil {
			return err
		}
	}
	findings := doctor.Judge(facts)
	if err := a.printFindings(findings, asJSON); err != nil {
		return err
	}
	if slices.ContainsFunc(findings, doctor.Finding.Counts) {
		return &exitError{code: exitFailure}
	}
	return nil
}

// commandLine is how an admin calls ftpvip with the files that this call uses.
func (a *app) commandLine(cmd *cobra.Command) string {
	words := []string{"ftpvip"}
	if strings.Contains(os.Args[0], "/") {
		words[0] = doctor.Shell(os.Args[0])
	}
	for _, name := range []string{"config", "state-dir"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			words = append(words, "--"+name, doctor.Shell(f.Value.String()))
		}
	}
	return strings.Join(words, " ")
}

// askKernel adds what needs CAP_NET_ADMIN.
func (a *app) askKernel(ctx context.Context, facts *doctor.Facts) error {
	cfg := facts.Config
	k, err := kernel.Open()
	if err != nil {
		return err
	}
	defer a.close(k)
	facts.Kernel.Queue = k.HasQueue()
	if facts.Kernel.Connlimit, err = k.HasConnlimit(); err != nil {
		return err
	}
	if facts.Kernel.Limit, err = k.HasLimit(); err != nil {
		return err
	}
	if cfg.Offloads() {
		if facts.Kernel.Flowtables, err = kernel.HasFlowtables(); err != nil {
			return err
		}
	}
	name, _, err := carrier.Choose(configs.CarrierCTHelper)
	if err != nil && !errors.Is(err, carrier.ErrUnavailable) {
		return err
	}
	facts.Kernel.CTHelper = err == nil && name == rules.CTHelperName
	want, _, err := a.desired(cfg)
	if err != nil && !errors.Is(err, carrier.ErrUnavailable) { // judged by Kernel.CTHelper
		return err
	}
	if err == nil {
		have, err := k.Read(want)
		if err != nil {
			return err
		}
		facts.Table = doctor.Table{Missing: have == nil, Changes: lines(rules.Diff(have, want).Text())}
	}
	if facts.Foreign, err = k.Foreign(); err != nil {
		facts.ForeignErr = err.Error()
	}
	flows, err := helper.Flows(ctx, cfg)
	if err != nil {
		return err
	}
	facts.Flows = map[doctor.FlowKey]doctor.Flow{}
	for w, n := range flows {
		facts.Flows[doctor.FlowKey(w)] = doctor.Flow(n)
	}
	state, err := a.helperState(cfg.Helper)
	if err != nil {
		return err
	}
	facts.Unheard = state.Unheard
	file, err := a.healthFile(cfg)
	if err != nil {
		return err
	}
	facts.Down = file.Down()
	return nil
}
