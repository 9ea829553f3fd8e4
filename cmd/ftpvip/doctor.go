package main

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ftpvip/cmd/ftpvip/report"
	"ftpvip/rules/doctor"
)

func (a *app) doctorCommand() *cobra.Command {
	cmd := verb("doctor", "Look for what stands in the way of FTP on this host (exit code 1: something)", nil)
	cmd.PreRunE = a.look
	cmd.Long = "Looks at the live host, and changes nothing: forwarding, routes, other programs' firewall rules, conntrack.\n" +
		"Each finding says what is wrong, why it matters, and which command fixes it.\n" +
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
	list, err := a.op.Doctor(cmd.Context(), client, commandLine(cmd))
	if err != nil {
		return err
	}
	d := report.NewFindings(list)
	if err := a.show(asJSON, d, d.WriteText); err != nil {
		return err
	}
	if !d.Healthy {
		return &exitError{code: exitFailure}
	}
	return nil
}

// commandLine is how an admin calls ftpvip with the files that this call uses.
func commandLine(cmd *cobra.Command) string {
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
