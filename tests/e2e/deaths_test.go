package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ftpvip/tests/lab"
)

// death is one way to die without a word: what is done, and the words by which everybody has to name it.
type death struct {
	name    string
	do      func(t *testing.T, f *farm)
	status  string // in its first line
	journal string // in a line of a round, at warning or above
	metric  string // a line of the textfile
	doctor  string // id of a finding
	heals   bool   // by the round: a transfer comes through after it
}

// onBalancer is a death by a command for a shell on the balancer.
func onBalancer(script string) func(*testing.T, *farm) {
	return func(t *testing.T, f *farm) { t.Helper(); shell(t, f.Balancer, script) }
}

// firewalled is a death by an admin's firewall that lets something out.
func firewalled(without string) func(*testing.T, *farm) {
	rest := strings.ReplaceAll(lab.AdminFirewall, without, "")
	if rest == lab.AdminFirewall {
		panic(without)
	}
	return onBalancer("nft delete table inet admin; nft -f - <<'E'\n" + rest + "\nE")
}

func deaths() []death {
	return []death{
		{"the table is gone", onBalancer("nft flush ruleset"), "table inet ftpvip is MISSING", "RESTORED", "ftpvip_health_table_restored 1", "table-missing", true},
		{
			"the helper is gone", func(_ *testing.T, f *farm) { f.helper.Kill() },
			"the helper is NOT LISTENING", "no helper listens", `ftpvip_health_trouble{id="helper-down"} 1`, "helper-down", false,
		},
		{
			"the helper is deaf", func(t *testing.T, f *farm) { must(t, f.helper.Signal(unix.SIGSTOP)) },
			"the helper is DEAF", "does not answer", `ftpvip_health_trouble{id="helper-deaf"} 1`, "helper-deaf", false,
		},
		{
			"the carrier is gone", onBalancer("nft delete table inet ftpvip; nfct helper delete ftpvip 2>/dev/null || true"),
			"table inet ftpvip is MISSING", "RESTORED", "ftpvip_health_table_restored 1", "table-missing", true,
		},
		{
			"the firewall drops control connections", firewalled("tcp dport 21 ct state new accept"), "new control connections",
			"new control connections", `ftpvip_health_trouble{id="firewall-control"} 1`, "firewall-control", false,
		},
		{
			"the firewall drops what is related", onBalancer("nft delete table inet admin; nft -f - <<'E'\n" + stateless + "\nE"), "passive data connections",
			"passive data connections", `ftpvip_health_trouble{id="firewall-related"} 1`, "firewall-related", false,
		},
		{
			"the firewall knows another helper only", onBalancer("nft delete table inet admin; nft -f - <<'E'\n" + otherHelperOnly + "\nE"),
			"passive data connections", "passive data connections", `ftpvip_health_trouble{id="firewall-related"} 1`, "firewall-related", false,
		},
		{
			"the servers' way back is wrong", func(t *testing.T, f *farm) {
				for _, b := range f.vips[0].Backends { // as if another router answered: it gets nowhere
					shell(t, b.Namespace, "ip route replace default dev lo; ip -6 route replace default dev lo")
				}
				_ = f.fetchControl(t)
			}, "get no answer through this host", "get no answer through this host", `ftpvip_health_trouble{id="replies-bypass"} 1`, "replies-bypass", false,
		},
		{
			"forwarding is off", onBalancer("sysctl -qw net.ipv4.ip_forward=0"), "does not forward IPv4", "does not forward IPv4",
			`ftpvip_health_trouble{id="forwarding-off-4"} 1`, "forwarding-off-4", false,
		},
		{
			"no route to the servers", onBalancer("ip route add unreachable 10.2.0.11"), "forbids the way to backend", "forbids the way to backend",
			`ftpvip_health_trouble{id="backend-no-route"} 1`, "backend-no-route", false,
		},
		{
			"the file is broken", func(t *testing.T, f *farm) {
				must(t, f.ftpvip.Configure(strings.Replace(f.config(), "addresses:", "adresses:", 1)))
			}, "cannot be used", "stays in force", "ftpvip_health_config_valid 0", "config-broken", true,
		},
	}
}

// otherHelperOnly is a firewall that lets related connections pass where the kernel's FTP helper announced them, and no others.
const otherHelperOnly = `table inet admin {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established accept
		meta l4proto { icmp, ipv6-icmp } accept
		ct state related ct helper "ftp" accept
		tcp dport 21 ct state new accept
	}
}`

// fetchControl has some clients try to log in.
func (f *farm) fetchControl(t *testing.T) lab.Result {
	t.Helper()
	r, err := f.Client.Run(t.Context(), lab.Command{Args: []string{"sh", "-c",
		"for i in 1 2 3 4; do curl -s --connect-timeout 2 ftp://" + f.vips[0].at(4).String() + "/ & done; wait"}})
	must(t, err)
	return r
}

// TestSilentDeaths: whatever dies, status, the journal of the next round, a metric and doctor name it in plain words; and what can
// heal by itself does.
func TestSilentDeaths(t *testing.T) {
	lab.Require(t, lab.Curl)
	for _, d := range deaths() {
		t.Run(d.name, func(t *testing.T) {
			f := newFarm(t, arrangement{})
			f.health(t, 1)
			if r := f.exits(t, 0, "status"); strings.Contains(r.Stdout, "PROBLEM") {
				t.Fatalf("before: %s", r)
			}
			must(t, os.Remove(filepath.Join(f.ftpvip.State, "troubles.json"))) // as if twenty seconds had gone by
			d.do(t, f)
			r, err := f.ftpvip.Run(t.Context(), "status")
			must(t, err)
			if first, _, _ := strings.Cut(r.Stdout, "\n"); r.Code != 1 || !strings.HasPrefix(first, "PROBLEM: ") || !strings.Contains(first, d.status) {
				t.Errorf("status does not begin with %q: %s", d.status, r)
			}
			if r, err := f.ftpvip.Run(t.Context(), "doctor"); err != nil || r.Code != 1 || !strings.Contains(r.Stdout, "["+d.doctor+"]") {
				t.Errorf("doctor does not find %s: %s, %v", d.doctor, r, err)
			}
			prom := filepath.Join(t.TempDir(), "health.prom")
			r, err = f.ftpvip.Run(t.Context(), "health", "--textfile", prom)
			must(t, err)
			said := false
			for line := range strings.Lines(r.Stderr) {
				said = said || strings.Contains(line, d.journal) && (strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR"))
			}
			if !said {
				t.Errorf("no warning with %q: %s", d.journal, r)
			}
			if b, err := os.ReadFile(prom); err != nil || !strings.Contains(string(b), "\n"+d.metric+"\n") {
				t.Errorf("metrics without %q: %v\n%s", d.metric, err, b)
			}
			if d.heals {
				f.passes(t)
			}
			if d.name == "the helper is deaf" {
				must(t, f.helper.Signal(unix.SIGCONT))
			}
		})
	}
}
