package report

import (
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
	"ftpvip/configs/inforce"
	"ftpvip/configs/servers"
	"ftpvip/helper/live"
	"ftpvip/rules"
	"ftpvip/rules/admin"
	"ftpvip/rules/doctor"
)

func TestSessions(t *testing.T) {
	list := []live.Session{
		{VIP: "ftp", Backend: "farm/a", Client: netip.MustParseAddrPort("198.51.100.1:4000"), Since: now.Add(-59 * time.Second)},
		{
			VIP: "ftp", Backend: "farm/b", Client: netip.MustParseAddrPort("[2001:db8::1]:4000"), User: "ann\x1b[2J", TLS: true, Since: now.Add(-25 * time.Hour),
			Transfers: []live.Transfer{{Count: 2, Bytes: 1536}, {Count: 1, Uncounted: 1}},
		},
		{VIP: "ftp", Backend: "farm/b", Client: netip.MustParseAddrPort("198.51.100.2:4000"), Since: now.Add(time.Second), Open: 1},
	}
	var b strings.Builder
	if err := WriteSessions(&b, list, now); err != nil {
		t.Fatal(err)
	}
	want := `VIP  BACKEND  CLIENT              USER          TLS  AGE   TRANSFERS  BYTES
ftp  farm/a   198.51.100.1:4000   -             no   59s   0          0 B
ftp  farm/b   [2001:db8::1]:4000  ann\u001b[2J  yes  1d1h  3          at least 1.5 KiB
ftp  farm/b   198.51.100.2:4000   -             no   0s    1          unknown
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 59*time.Second + 999*time.Millisecond: "59s", time.Minute: "1m", 90 * time.Minute: "1h30m",
		23*time.Hour + 59*time.Minute: "23h59m", 49 * time.Hour: "2d1h",
	} {
		if got := age(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 5 << 30: "5.0 GiB", 1<<64 - 1: "16.0 EiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestDecided(t *testing.T) {
	cfg, a := parse(t, farm), ref("farm", "a")
	var none admin.File
	drained := none.WithMode(a, rules.Drained, now)
	heavy := drained.WithWeight(a, 33, now)
	for _, tt := range []struct {
		name          string
		before, after admin.File
		ref           configs.Ref
		want          string
	}{
		{"drained", none, drained, a, "farm/a: drained, weight 10 (changed); slots: 0 elements deleted, 0 added"},
		{"again", drained, drained, a, "farm/a: drained, weight 10 (unchanged); slots: 0 elements deleted, 0 added"},
		{"another weight", drained, heavy, a, "farm/a: drained, weight 33 (changed); slots: 0 elements deleted, 0 added"},
		{"enabled", drained, none, a, "farm/a: enabled, weight 10 (changed); slots: 0 elements deleted, 0 added"},
		{"not configured", none, none, ref("farm", "z"), "farm/z: enabled (unchanged); slots: 0 elements deleted, 0 added"},
	} {
		if got := NewDecided(cfg, tt.ref, tt.before, tt.after).String(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestApplied: what became of the table, in words, from the plan alone.
func TestApplied(t *testing.T) {
	cfg := parse(t, farm)
	all := rules.Build(cfg, rules.State{}, rules.SaneHelperName)
	one := rules.Build(cfg, rules.State{Down: map[configs.Ref]bool{ref("spare", "s"): true}, Admin: map[configs.Ref]rules.Admin{ref("farm", "a"): {Weight: 20}}}, rules.SaneHelperName)
	strange := &rules.Ruleset{Strange: []string{"table flags 0x1"}}
	for _, tt := range []struct {
		name      string
		have      *rules.Ruleset
		addresses string
		what      string
		changed   bool
		elements  bool // and nothing else
	}{
		{"nothing", all, "", "nothing changed", false, false},
		{"the first time", nil, "", "created, ", true, false},
		{"with what is not ours", strange, "", "made anew, ", true, false},
		{"elements", one, "", "changed: ", true, true},
		{"elements and an address", one, "+ address 192.0.2.10/32 dev eth0\n", "changed: ", true, false},
		{"an address", all, "+ address 192.0.2.10/32 dev eth0\n", "nothing changed", true, false},
		{"more than elements", &rules.Ruleset{Sets: all.Sets, Helpers: all.Helpers}, "", " added, and more than elements", true, false},
	} {
		d := NewApplied(rules.Diff(tt.have, all), tt.addresses, 0)
		var b strings.Builder
		if err := d.WriteText(&b, cfg); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(b.String(), "table inet ftpvip: ") || !strings.Contains(b.String(), tt.what) || !strings.HasSuffix(b.String(), "(VIPs 1, pools 2)\n"+tt.addresses) {
			t.Errorf("%s: %q, want %q", tt.name, b.String(), tt.what)
		}
		if d.Changed != tt.changed || d.ElementsOnly != tt.elements || d.Changed != (len(d.Changes) > 0) {
			t.Errorf("%s: %+v", tt.name, d)
		}
	}
}

func TestRolledBack(t *testing.T) {
	to := &inforce.Applied{At: now, File: "/etc/ftpvip/ftpvip.yaml\n"}
	changes := []string{"- a", "+ b"}
	for _, tt := range []struct {
		name string
		doc  RolledBack
		want string
	}{
		{"done", RolledBack{To: to, Deleted: 3, Added: 4}, "rolled back to the configuration of 2026-01-02T03:04:05Z: 3 elements deleted, 4 added; " +
			"it stays in force until the next `ftpvip apply`, so fix /etc/ftpvip/ftpvip.yaml\\u000a first\n"},
		{"no table", RolledBack{Changes: changes}, "rolled back: table inet ftpvip was not there before, and is removed\n"},
		{"dry run", RolledBack{To: to, DryRun: true, Changes: changes}, "- a\n+ b\n"},
		{"dry run without changes", RolledBack{DryRun: true}, ""},
	} {
		var b strings.Builder
		if err := tt.doc.WriteText(&b); err != nil || b.String() != tt.want {
			t.Errorf("%s: %v\n%s", tt.name, err, cmp.Diff(tt.want, b.String()))
		}
	}
}

func TestFindings(t *testing.T) {
	note := doctor.Finding{ID: "n", Severity: doctor.Note, What: "a note", Why: "because"}
	bad := doctor.Finding{
		ID: "forwarding", Severity: doctor.Error, What: "off", Why: "no packet passes", Remedy: []string{"sysctl x", "sysctl y"}, On: "the server", Keep: "a file",
	}
	for _, tt := range []struct {
		name    string
		list    []doctor.Finding
		healthy bool
		want    string
	}{
		{"none", nil, true, "nothing stands in the way of FTP (notes 0)\n"},
		{"a note", []doctor.Finding{note}, true, "note: a note [n]\n  why:  because\n\nnothing stands in the way of FTP (notes 1)\n"},
		{"an error", []doctor.Finding{bad, note}, false, `error: off [forwarding]
  why:  no packet passes
  fix, on the server: sysctl x
                      sysctl y
  keep: a file

note: a note [n]
  why:  because

errors 1, warnings 0, notes 1
`},
	} {
		d := NewFindings(tt.list)
		var b strings.Builder
		if err := d.WriteText(&b); err != nil || d.Healthy != tt.healthy || b.String() != tt.want {
			t.Errorf("%s: healthy %v, %v\n%s", tt.name, d.Healthy, err, cmp.Diff(tt.want, b.String()))
		}
	}
}

// TestJSON holds the names of documents that scripts read: lists are never null, and times that are not there are left out.
func TestJSON(t *testing.T) {
	cfg := parse(t, farm)
	for _, tt := range []struct {
		name string
		doc  any
		want string
	}{
		{"apply", NewApplied(&rules.Plan{}, "", 5), `{"changed":false,"changes":[],"elements_added":0,"elements_deleted":0,"elements_only":false,"netlink_bytes":5}`},
		{"apply --confirm", &Applied{ConfirmUntil: now, Changes: []string{}}, `{"changed":false,"changes":[],"confirm_until":"2026-01-02T03:04:05Z","elements_added":0,"elements_deleted":0,"elements_only":false,"netlink_bytes":0}`},
		{"diff", Changes{Changes: Lines("")}, `{"changed":false,"changes":[]}`},
		{"rollback", &RolledBack{Changes: Lines("+ a\n"), Changed: true, To: &inforce.Applied{}, Deleted: 1}, `{"changed":true,"changes":["+ a"],"dry_run":false}`},
		{"drain", &Decided{Backend: "farm/a", Mode: rules.Drained, Weight: 10, Changed: true}, `{"backend":"farm/a","mode":"drained","weight":10,"changed":true,"elements_deleted":0,"elements_added":0}`},
		{"drain --wait", Drained{&Decided{Backend: "farm/a", Mode: rules.Drained}, 2, 1.5}, `{"backend":"farm/a","mode":"drained","weight":0,"changed":false,"elements_deleted":0,"elements_added":0,"sessions":2,"waited_seconds":1.5}`},
		{"disable", &Disabled{Decided: &Decided{Backend: "farm/a", Mode: rules.Disabled}}, `{"backend":"farm/a","mode":"disabled","weight":0,"changed":false,"elements_deleted":0,"elements_added":0,"control_connections":0,"data_connections":0,"without_reset":0}`},
		{"doctor", NewFindings(nil), `{"findings":[],"healthy":true,"walked":true}`},
		{"check", NewChecked("f", cfg, servers.For(cfg)), `{"backends":3,"file":"f","passive":{"servers":[],"firewall":[]},"pools":2,"valid":true,"vips":1}`},
		{"version", Version{Go: "go1", Version: "v1"}, `{"go":"go1","version":"v1"}`},
	} {
		b, err := json.Marshal(tt.doc)
		if err != nil || string(b) != tt.want {
			t.Errorf("%s: %v\n got %s\nwant %s", tt.name, err, b, tt.want)
		}
	}
}

func TestFlushed(t *testing.T) {
	var b strings.Builder
	if err := errors.Join(Flushed{Table: true, Addresses: "- address 192.0.2.10/32 dev eth0\n"}.WriteText(&b), Flushed{}.WriteText(&b)); err != nil {
		t.Fatal(err)
	}
	if want := "table inet ftpvip: removed\n- address 192.0.2.10/32 dev eth0\ntable inet ftpvip: was not there\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

var errFull = errors.New("no space left on device")

// full is a disk.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

// TestFullDisk: a document that could not be written is an error of the command.
func TestFullDisk(t *testing.T) {
	cfg := parse(t, farm)
	for name, write := range map[string]func(io.Writer) error{
		"json":     func(w io.Writer) error { return WriteJSON(w, 1) },
		"sessions": func(w io.Writer) error { return WriteSessions(w, nil, now) },
		"status":   func(w io.Writer) error { return (&Status{}).WriteText(w, now) },
		"apply":    func(w io.Writer) error { return NewApplied(&rules.Plan{}, "", 0).WriteText(w, cfg) },
		"rollback": func(w io.Writer) error { return (&RolledBack{DryRun: true, Changes: []string{"a"}}).WriteText(w) },
		"doctor":   NewFindings(nil).WriteText,
		"flush":    Flushed{}.WriteText,
		"check":    NewChecked("f", cfg, servers.Advice{}).WriteText,
	} {
		if err := write(full{}); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
