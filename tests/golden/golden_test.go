// Package golden holds scenarios: a configuration and the ruleset that it must become. Each ruleset is also
// applied in a network namespace, read back and compared with what `nft -f` makes of the text.
package golden

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
	"ftpvip/rules"
	"ftpvip/rules/kernel"
	"ftpvip/tests/lab"
)

var update = flag.Bool("update", false, "write the rulesets anew")

func TestMain(m *testing.M) { lab.Main(m) }

// scenarios calls f for every folder.
func scenarios(t *testing.T, f func(t *testing.T, dir string, want *rules.Ruleset)) {
	files, err := filepath.Glob("[0-9]*/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 15 {
		t.Fatalf("only %d scenarios found", len(files))
	}
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(dir, func(t *testing.T) { f(t, dir, build(t, file)) })
	}
}

// build makes the ruleset of a scenario. Comments in its configuration are the state.
func build(t *testing.T, file string) *rules.Ruleset {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := configs.Parse(file, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return rules.Build(cfg, stateOf(t, cfg, string(data)), rules.SaneHelperName)
}

func TestText(t *testing.T) {
	scenarios(t, func(t *testing.T, dir string, want *rules.Ruleset) {
		path := filepath.Join(dir, "ruleset.nft")
		if *update {
			if err := os.WriteFile(path, []byte(want.Text()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(golden), want.Text()); d != "" {
			t.Errorf("ruleset differs (-golden +built); after a wanted change run go test ./tests/golden -update\n%s", d)
		}
	})
}

// TestKernel writes each ruleset to the kernel, reads it back equal, and has nft print the same as after loading
// the golden text with nft itself.
func TestKernel(t *testing.T) {
	lab.Require(t, lab.Root, lab.NFT)
	scenarios(t, func(t *testing.T, _ string, want *rules.Ruleset) {
		if len(want.Flowtables) > 0 {
			lab.Require(t, lab.Flowtable)
		}
		k, err := kernel.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if _, err := k.Flush(); err != nil {
				t.Error(err)
			}
			if err := k.Close(); err != nil {
				t.Error(err)
			}
		}()
		commit(t, k, want)
		have, err := k.Read(want)
		if err != nil {
			t.Fatal(err)
		}
		if p := rules.Diff(have, want); !p.Empty() {
			t.Errorf("what was written is not what is read back:\n%s", p.Text())
		}
		ours := nft(t, "", "list", "table", "inet", rules.TableName)
		if _, err := k.Flush(); err != nil {
			t.Fatal(err)
		}
		text := loadable(t, k, want.Text())
		nft(t, text, "-c", "-f", "-")
		nft(t, text, "-f", "-")
		theirs := nft(t, "", "list", "table", "inet", rules.TableName)
		if d := cmp.Diff(printed(theirs), printed(ours)); d != "" {
			t.Errorf("nft -f of the golden text and our own writing differ (-nft +ours)\n%s", d)
		}
		// What nft prints must load again: admins save it.
		nft(t, "flush ruleset\n"+theirs, "-c", "-f", "-")
	})
}

func commit(t *testing.T, k *kernel.Kernel, want *rules.Ruleset) {
	t.Helper()
	have, err := k.Read(want)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Commit(rules.Diff(have, want)); err != nil {
		t.Fatal(err)
	}
}

// loadable is the text as this kernel can load it: one without nft's queue statement gets the table without the
// rules that use it, which the reading back above has covered.
func loadable(t *testing.T, k *kernel.Kernel, text string) string {
	t.Helper()
	if k.HasQueue() {
		return text
	}
	return withoutQueue(text)
}

func withoutQueue(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "\tqueue ") && !strings.Contains(line, " queue ") && !strings.Contains(line, "XT target") && strings.TrimSpace(line) != "" {
			b.WriteString(line)
		}
	}
	return b.String()
}

// printed is nft's print without what depends on the kernel, on nft's version, or on chance: the order of elements.
func printed(text string) []string {
	var lines []string
	elements := ""
	for line := range strings.Lines(withoutQueue(text)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.Contains(line, "@ih,") || strings.HasPrefix(line, "#"):
			continue
		case elements != "" || strings.HasPrefix(line, "elements ="):
			elements += " " + line
			if !strings.HasSuffix(line, "}") {
				continue
			}
			_, list, _ := strings.Cut(elements, "{")
			lines = append(lines, sorted(strings.Split(strings.TrimSuffix(list, "}"), ","))...)
			elements = ""
		default:
			lines = append(lines, line)
		}
	}
	return lines
}

func nft(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), "nft", args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("nft %s: %v\n%s", strings.Join(args, " "), err, exit.Stderr)
		}
		t.Fatal(err)
	}
	return string(out)
}
