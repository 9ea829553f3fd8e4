package main

import (
	"encoding/json"
	"iter"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"ftpvip/cmd/ftpvip/report"
	"ftpvip/configs"
	"ftpvip/health"
	"ftpvip/health/judge"
	"ftpvip/helper/live"
	"ftpvip/rules/doctor"
	"ftpvip/tests/lab"
)

// hostile has a terminal's commands (ESC, C1 in both forms), every bidirectional control, and ways to another line or
// column.
const hostile = "x\x1b[2J\x1b]0;t\a\u009b31m\u0085" +
	"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u2028\u2029\r\nVIP forged\tcell\x7f"

// hostileSource is a helper that says nothing else.
type hostileSource struct{}

func (hostileSource) Figures() live.Figures {
	counts := map[string]uint64{hostile: 1}
	return live.Figures{
		Version: hostile, Data: counts, Refusals: counts, Unread: counts, Commands: counts,
		Transfers: []live.Transfer{{Mode: hostile, Direction: hostile, Count: 1}},
	}
}

func (hostileSource) Sessions() iter.Seq[live.Session] {
	return slices.Values([]live.Session{{
		VIP: hostile, Backend: hostile, User: hostile, Client: netip.MustParseAddrPort("192.0.2.1:4"), Since: time.Now(),
	}})
}

// harmless fails where output may do something to a terminal, or where text from outside made a line of its own.
func harmless(t *testing.T, what, out string) {
	t.Helper()
	for _, r := range out {
		if r != '\n' && r != '\t' && !unicode.IsGraphic(r) {
			t.Errorf("%s prints %U:\n%q", what, r, out)
			return
		}
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "VIP forged") {
			t.Errorf("%s has a forged line:\n%s", what, out)
		}
	}
	if !strings.Contains(out, `\u001b[2J`) || !strings.Contains(out, `\u202e`) {
		t.Errorf("%s does not show what it was told:\n%s", what, out)
	}
}

// hostileDir is a state directory in which a hostile helper answers, and files say hostile things.
func hostileDir(t *testing.T) (args []string) {
	t.Helper()
	dir := t.TempDir()
	server, err := live.Listen(t.Context(), filepath.Join(dir, live.SocketName), hostileSource{}, slog.New(slog.DiscardHandler))
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	ref := configs.Ref{Pool: "farm", Backend: "a"}
	state := judge.State{Status: judge.Down, Last: judge.Outcome{Step: hostile, Reason: hostile}}
	must(t, health.File{Round: time.Now(), Backends: map[configs.Ref]judge.State{ref: state}}.Save(dir))
	must(t, health.AppendHistory(dir, []judge.Event{{
		Pool: hostile, Backend: hostile, To: judge.Down, Step: hostile, Reason: hostile, Admin: hostile, Did: []string{hostile},
	}}))
	file := filepath.Join(dir, "ftpvip.yaml")
	must(t, os.WriteFile(file, []byte(`vips: [{name: ftp, addresses: [192.0.2.10], port: 21, pool: farm}]
pools: [{name: farm, backends: [{name: a, addresses: [10.2.0.11]}], health: {check: tcp}}]
`), 0o600))
	return []string{"-c", file, "--state-dir", dir}
}

func TestHostileAnswers(t *testing.T) {
	args := hostileDir(t)
	verbs := [][]string{{"sessions"}, {"sessions", "-o", "json"}, {"health", "--history"}, {"health", "--history", "-o", "json"}}
	if lab.Inside() && lab.NFT.Check() == nil {
		verbs = append(verbs, []string{"status"}, []string{"status", "-o", "json"})
	}
	for _, words := range verbs {
		var out, err strings.Builder
		if code := run(t.Context(), append(slices.Clip(args), words...), &out, &err); code != 0 && (words[0] != "status" || code != exitFailure) { // nothing is applied
			t.Fatalf("%v: exit code %d\n%s", words, code, err.String())
		}
		harmless(t, strings.Join(words, " "), out.String())
		if words[len(words)-1] != "json" {
			continue
		}
		if !json.Valid([]byte(out.String())) {
			t.Errorf("%v: no JSON:\n%s", words, out.String())
		}
		var list []live.Session
		if words[0] == "sessions" && (json.Unmarshal([]byte(out.String()), &list) != nil || list[0].User != hostile) {
			t.Errorf("%v: the user is not the same any more:\n%s", words, out.String())
		}
	}
}

// TestHostileMessages: what others wrote is escaped in errors, log lines and findings, too.
func TestHostileMessages(t *testing.T) {
	var out, err strings.Builder
	run(t.Context(), []string{"-c", filepath.Join(t.TempDir(), hostile), "check"}, &out, &err)
	harmless(t, "an error", strings.ReplaceAll(err.String(), "\nVIP forged", "")) // the file's name is the caller's own

	args := hostileDir(t)
	must(t, os.WriteFile(filepath.Join(args[3], "admin.json"), []byte(`{"version":1,"backends":{"farm/a":{"mode":"\u001b[2J\u202e"}}}`), 0o600))
	out.Reset()
	err.Reset()
	run(t.Context(), append(args, "check"), &out, &err)
	if text := out.String() + err.String(); !strings.Contains(text, "admin.json") || strings.ContainsAny(text, "\x1b\u202e") {
		t.Errorf("a log line: %q", text)
	}

	out.Reset()
	findings := report.NewFindings([]doctor.Finding{{What: hostile, Why: hostile, Remedy: []string{hostile}, On: hostile, Keep: hostile}})
	must(t, findings.WriteText(newApp(&out, &err).stdout))
	harmless(t, "doctor", out.String())
}
