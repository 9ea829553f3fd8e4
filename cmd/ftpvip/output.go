package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ftpvip/cmd/ftpvip/report"
)

// outputFlag adds -o to a command and returns what reads it.
func outputFlag(cmd *cobra.Command) func() (asJSON bool, err error) {
	output := cmd.Flags().StringP("output", "o", "text", "text or json")
	return func() (bool, error) {
		switch *output {
		case "text":
			return false, nil
		case "json":
			return true, nil
		}
		return false, &exitError{exitUsage, fmt.Errorf("--output %q: allowed: text, json", *output)}
	}
}

// show prints a document as JSON, or its text.
func (a *app) show(asJSON bool, document any, text func(io.Writer) error) error {
	if asJSON {
		return report.WriteJSON(a.stdout, document)
	}
	return text(a.stdout)
}
