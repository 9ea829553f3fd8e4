package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"ftpvip/cmd/ftpvip/manual"
	"ftpvip/configs"
)

// docsCommand is for packagers: it writes documents that are generated from the code.
func (a *app) docsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "docs DIRECTORY", Short: "Write manual pages and shell completions", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return fail(a.docs(cmd.Root(), args[0]), exitFailure) },
	}
}

func (a *app) docs(root *cobra.Command, dir string) error {
	commands, err := manual.Commands(root, version)
	if err != nil {
		return err
	}
	config, err := manual.Config(string(configs.Reference()), version)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { // #nosec G301 -- for everybody to read
		return fmt.Errorf("making the folder for manual pages: %w", err)
	}
	for name, text := range map[string]string{"ftpvip.8": commands, "ftpvip.yaml.5": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil { // #nosec G306 -- likewise
			return fmt.Errorf("writing a manual page: %w", err)
		}
	}
	for name, generate := range map[string]func(string) error{
		"ftpvip.bash": func(path string) error { return root.GenBashCompletionFileV2(path, true) },
		"_ftpvip":     root.GenZshCompletionFile,
		"ftpvip.fish": func(path string) error { return root.GenFishCompletionFile(path, true) },
	} {
		if err := generate(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("writing shell completions: %w", err)
		}
	}
	return nil
}
