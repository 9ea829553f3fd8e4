// Package manual writes the manual pages: ftpvip(8) out of the command tree, ftpvip.yaml(5) out of the reference
// configuration. What no code knows stands in the two templates beside it.
package manual

import (
	"embed"
	"fmt"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

//go:embed *.tmpl
var templates embed.FS

// Commands is the page ftpvip(8), as roff.
func Commands(root *cobra.Command, version string) (string, error) {
	return render("ftpvip.8.tmpl", map[string]any{
		"Version": version, "Summary": root.Short, "Options": options(root.PersistentFlags()), "Commands": commands(root),
	})
}

// Config is the page ftpvip.yaml(5), as roff.
func Config(reference, version string) (string, error) {
	return render("ftpvip.yaml.5.tmpl", map[string]any{
		"Version": version, "Sections": Sections(reference), "Reference": strings.TrimSuffix(reference, "\n"),
	})
}

func render(name string, data any) (string, error) {
	t, err := template.New(name).Funcs(template.FuncMap{"text": escape, "flow": flow}).ParseFS(templates, name)
	if err != nil {
		return "", fmt.Errorf("reading the template of a manual page: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return "", fmt.Errorf("writing a manual page: %w", err)
	}
	return b.String(), nil
}

// command is one verb, or one below it.
type command struct {
	Use     string // without the program's name
	Text    string
	Options []option
}

type option struct{ Names, Default, Text string }

// commands lists what a user may run, in the order of the command tree, verbs of verbs after their parents.
func commands(parent *cobra.Command) []command {
	var list []command
	for _, c := range parent.Commands() {
		if !c.IsAvailableCommand() || c.Name() == "help" {
			continue
		}
		if c.Runnable() {
			text := c.Long
			if text == "" {
				text = c.Short
			}
			use := strings.TrimSuffix(strings.TrimPrefix(c.UseLine(), c.Root().Name()+" "), " [flags]")
			list = append(list, command{Use: use, Text: text, Options: options(c.LocalNonPersistentFlags())})
		}
		list = append(list, commands(c)...)
	}
	return list
}

func options(flags *pflag.FlagSet) []option {
	var list []option
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		names := "--" + f.Name
		if f.Shorthand != "" {
			names = "-" + f.Shorthand + ", " + names
		}
		kind, text := pflag.UnquoteUsage(f)
		if kind != "" {
			names += " " + kind
		}
		o := option{Names: names, Text: text}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
			o.Default = f.DefValue
		}
		list = append(list, o)
	})
	return list
}

// escape makes text safe for roff: no backslash, no control character at the beginning of a line, and hyphens that
// can be copied.
func escape(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		l = strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", `\(ga`, "'", `\(aq`, "^", `\(ha`, "~", `\(ti`).Replace(l)
		if strings.HasPrefix(l, ".") {
			l = `\&` + l
		}
		lines[i] = l
	}
	return strings.Join(lines, "\n")
}

// flow is text whose empty lines begin paragraphs.
func flow(s string) string {
	return strings.ReplaceAll(escape(strings.TrimSpace(s)), "\n\n", "\n.IP\n")
}
