package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ftpvip/configs"
	"ftpvip/helper/live"
	"ftpvip/tests/lab/client"
)

// unitCapabilities are those that a unit gives its service, in the words of setpriv.
func unitCapabilities(t *testing.T, unit string) (caps []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "systemd", unit))
	must(t, err)
	for line := range strings.Lines(string(b)) {
		if list, ok := strings.CutPrefix(strings.TrimSpace(line), "AmbientCapabilities="); ok {
			for c := range strings.FieldsSeq(list) {
				caps = append(caps, "+"+strings.ToLower(strings.TrimPrefix(c, "CAP_")))
			}
		}
	}
	if len(caps) == 0 {
		t.Fatalf("%s gives no capabilities", unit)
	}
	return caps
}

// asUser is the command that runs others as the services' user, with so many capabilities and no more.
func asUser(caps ...string) []string {
	set := strings.Join(append([]string{"-all"}, caps...), ",")
	return []string{"setpriv", "--reuid=4711", "--regid=4711", "--clear-groups", "--no-new-privs",
		"--bounding-set=" + set, "--inh-caps=" + set, "--ambient-caps=" + set}
}

// TestServicesUser runs every verb as the user of the services, with exactly the capabilities of the unit that runs it, or of the
// helper's where no unit does.
func TestServicesUser(t *testing.T) {
	f := newFarm(t, arrangement{})
	_, err := f.helper.Stop(t.Context())
	must(t, err)
	f.do(t, "flush")
	must(t, os.RemoveAll(f.ftpvip.State))
	must(t, os.MkdirAll(f.ftpvip.State, 0o750))
	must(t, os.Chown(f.ftpvip.State, 4711, 4711))
	must(t, os.Chmod(f.Dir, 0o755))

	f.ftpvip.As = asUser(unitCapabilities(t, "ftpvip-helper.service")...)
	f.startHelper(t)
	f.ftpvip.As = asUser(unitCapabilities(t, "ftpvip.service")...)
	for _, words := range [][]string{{"check"}, {"apply", "--dry-run"}, {"apply"}, {"diff"}, {"drain", "embedded/backend1"},
		{"enable", "embedded/backend1"}, {"weight", "embedded/backend1", "20"}} {
		f.exits(t, 0, words...)
	}
	f.ftpvip.As = asUser(unitCapabilities(t, "ftpvip-health.service")...)
	for _, words := range [][]string{{"health"}, {"disable", "embedded/backend2"}, {"enable", "embedded/backend2"}} { // they reset sessions
		f.exits(t, 0, words...)
	}
	f.ftpvip.As = asUser(unitCapabilities(t, "ftpvip-helper.service")...)
	f.passes(t)

	r := f.exits(t, 0, "status")
	if !strings.Contains(r.Stdout, "helper: listening on queues 2100-2101") || strings.Contains(r.Stdout, ": 0 packets so far") {
		t.Errorf("status does not know the queues: %s", r)
	}
	var document struct {
		Helper struct{ Live live.Figures }
	}
	must(t, json.Unmarshal([]byte(f.exits(t, 0, "status", "-o", "json").Stdout), &document))
	if q := document.Helper.Live.Queues; len(q) != 2 || q[0].Packets+q[1].Packets == 0 {
		t.Errorf("the helper does not know its queues: %+v", q)
	}
	f.exits(t, 0, "sessions")
	if r, err := f.ftpvip.Run(t.Context(), "doctor"); err != nil || r.Code > 1 || strings.Contains(r.Stdout, "helper-down") {
		t.Errorf("doctor: %s, %v", r, err)
	}
	if log := f.helper.Stderr(); strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
		t.Errorf("the helper warns:\n%s", log)
	}
	if err := f.fetch(t, f.vips[0], configs.IPv6, client.EPSV, 10); err != nil {
		t.Error(err)
	}
	f.exits(t, 0, "rollback")

	// whoever may read the file may check it, without a look at the state directory
	f.ftpvip.As = []string{"setpriv", "--reuid=4712", "--regid=4712", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"}
	f.exits(t, 0, "check")

	// who has no capability at all may still look
	f.ftpvip.As = asUser()
	f.exits(t, 0, "check")
	f.exits(t, 0, "sessions")
	if r, err := f.ftpvip.Run(t.Context(), "status"); err != nil || !slices.Contains([]int{0, 1}, r.Code) || !strings.Contains(r.Stdout, "VIP embedded") {
		t.Errorf("status without capabilities: %s, %v", r, err)
	}
}
