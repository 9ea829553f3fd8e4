package report

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
	"ftpvip/configs/inforce"
	"ftpvip/health"
	"ftpvip/health/judge"
	"ftpvip/helper/live"
	"ftpvip/rules"
	"ftpvip/rules/admin"
)

// now is the time of all documents here.
var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const farm = `vips: [{name: ftp, addresses: [192.0.2.10, "2001:db8::10"], port: 21, pool: farm}]
pools:
  - name: farm
    scheduler: random
    affinity: 10m
    fallback: spare
    min_members: 2
    backends:
      - {name: a, addresses: [10.2.0.11, "fd00::11"]}
      - {name: b, addresses: [10.2.0.12, "fd00::12"]}
  - name: spare
    backends: [{name: s, addresses: [10.2.0.99, "fd00::99"]}]
`

func parse(t *testing.T, text string) *configs.Config {
	t.Helper()
	cfg, err := configs.Parse("test.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func ref(pool, backend string) configs.Ref { return configs.Ref{Pool: pool, Backend: backend} }

// up is a state without anything to say.
func up(refs ...configs.Ref) map[configs.Ref]judge.State {
	states := map[configs.Ref]judge.State{}
	for _, r := range refs {
		states[r] = judge.State{Status: judge.Up, Last: judge.Outcome{OK: true}}
	}
	return states
}

// status makes the document of a farm whose table is in step with what is known.
func status(cfg *configs.Config, known health.Known, connections map[netip.AddrPort]map[netip.AddrPort]int) *Status {
	table := rules.Build(cfg, known.State(cfg), rules.SaneHelperName)
	s := NewStatus(cfg, known, now)
	s.Compare(table, table, "")
	s.Helper = Helper{Listening: true, FirstQueue: 2100, Queues: 2, Packets: 7}
	for i := range cfg.VIPs {
		s.AddVIP(cfg, &cfg.VIPs[i], Kernel{Table: table, Connections: connections}, known)
	}
	return s
}

func text(t *testing.T, s *Status) string {
	t.Helper()
	var b strings.Builder
	if err := s.WriteText(&b, now); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestStatusText(t *testing.T) {
	a, b, spare := ref("farm", "a"), ref("farm", "b"), ref("spare", "s")
	at := netip.MustParseAddrPort
	connections := map[netip.AddrPort]map[netip.AddrPort]int{
		at("192.0.2.10:21"):      {at("10.2.0.11:21"): 3},
		at("[2001:db8::10]:21"):  {at("[fd00::11]:21"): 1},
		at("198.51.100.1:21"):    {at("10.2.0.12:21"): 9}, // another VIP's
		at("[2001:db8::bad]:21"): nil,
	}
	for _, tt := range []struct {
		name   string
		change func(*configs.Config, *health.Known) // of a farm in which all is well
		late   func(*Status)
		want   string
	}{
		{"all is well", func(*configs.Config, *health.Known) {}, func(*Status) {}, `
VIP ftp  192.0.2.10:21  [2001:db8::10]:21  ftp-control
pool farm  random  251 slots  2 of 2 backends are members
  affinity 10m0s: 0 clients remembered
  BACKEND  STATE  SLOTS v4  SLOTS v6  SHARE  CONTROL  ADDRESSES
  a        up     126       126       50.2%  4        10.2.0.11:21 [fd00::11]:21
  b        up     125       125       49.8%  0        10.2.0.12:21 [fd00::12]:21

table inet ftpvip: in step with the configuration
helper: listening on queues 2100-2101: 7 packets so far, 0 waiting, 0 dropped
last health round: 2s ago
`},
		{"a server is dead and the fallback serves", func(_ *configs.Config, k *health.Known) {
			k.Health.Backends[b] = judge.State{Status: judge.Down, Last: judge.Outcome{Reason: "connection refused"}}
		}, func(*Status) {}, `
VIP ftp  192.0.2.10:21  [2001:db8::10]:21  ftp-control
pool farm  random  251 slots  0 of 2 backends are members
  fallback spare serves (NO QUORUM, 1 fit of at least 2)
  affinity 10m0s: 0 clients remembered
  BACKEND  STATE  SLOTS v4  SLOTS v6  SHARE   CONTROL  ADDRESSES
  a        up     0         0         0.0%    4        10.2.0.11:21 [fd00::11]:21
  b        down   0         0         0.0%    0        10.2.0.12:21 [fd00::12]:21
  spare/s  up     251       251       100.0%  0        10.2.0.99:21 [fd00::99]:21
  b: connection refused

table inet ftpvip: in step with the configuration
helper: listening on queues 2100-2101: 7 packets so far, 0 waiting, 0 dropped
last health round: 2s ago
`},
		{"decisions, and nobody left", func(_ *configs.Config, k *health.Known) {
			k.Admin = k.Admin.WithMode(a, rules.Drained, now.Add(-90*time.Minute)).WithMode(b, rules.Disabled, now.Add(-time.Minute)).
				WithWeight(b, 3, now.Add(-50*time.Hour)).WithMode(spare, rules.Drained, now).WithMode(ref("gone", "x"), rules.Drained, now)
			k.Health.Round = time.Time{}
		}, func(s *Status) {
			s.InForce(inforce.Record{RolledBack: now.Add(-time.Hour)}, now)
			s.Helper = Helper{FirstQueue: 2100, Queues: 2, Unheard: []uint16{2100, 2101}}
		}, `
VIP ftp  192.0.2.10:21  [2001:db8::10]:21  ftp-control
pool farm  random  251 slots  0 of 2 backends are members
  NOBODY SERVES: new connections get a reset
  affinity 10m0s: 0 clients remembered
  BACKEND  STATE        SLOTS v4  SLOTS v6  SHARE  CONTROL  ADDRESSES
  a        up,drained   0         0         0.0%   4        10.2.0.11:21 [fd00::11]:21
  b        up,disabled  0         0         0.0%   0        10.2.0.12:21 [fd00::12]:21
  a: drained by an admin for 1h30m
  b: disabled by an admin for 1m
  b: weight 3 by an admin for 2d2h, the configuration has 10

table inet ftpvip: in step with the configuration
helper: NOT LISTENING on queues 2100-2101: start it with ` + "`systemctl start ftpvip-helper` or `ftpvip helper`" + `
last health round: never, LATE: is ftpvip-health.timer or ftpvip-health-watch.service active?
warning: admin state has gone/x is not configured; to remove it: ` + "`ftpvip enable gone/x`" + `
warning: the configuration was rolled back 1h0m ago: the file is not in force until the next ` + "`ftpvip apply`" + `
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := parse(t, farm)
			known := health.Known{Health: health.File{Round: now.Add(-2 * time.Second), Backends: up(a, b, spare)}}
			tt.change(cfg, &known)
			s := status(cfg, known, connections)
			tt.late(s)
			if diff := cmp.Diff(tt.want[1:], text(t, s)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestTable: a status says whether the kernel has what it should, and what to do where it has not.
func TestTable(t *testing.T) {
	cfg := parse(t, farm)
	want := rules.Build(cfg, rules.State{}, rules.SaneHelperName)
	other := rules.Build(cfg, rules.State{Down: map[configs.Ref]bool{ref("farm", "a"): true}}, rules.SaneHelperName)
	for _, tt := range []struct {
		name            string
		have            *rules.Ruleset
		addresses       string
		table, sentence string
	}{
		{"the same", want, "", "in step", "in step with the configuration"},
		{"none", nil, "", "missing", "MISSING: run `ftpvip apply`"},
		{"other slots", other, "", "differs", "DIFFERS from the configuration in "},
		{"an address is missing", want, "+ address 192.0.2.10/32 dev eth0\n", "differs", "DIFFERS from the configuration in 1 places"},
	} {
		s := NewStatus(cfg, health.Known{}, now)
		s.Compare(tt.have, want, tt.addresses)
		if s.Table != tt.table || !strings.Contains(text(t, s), "table inet ftpvip: "+tt.sentence) || (s.Table == "differs") != (len(s.Changes) > 0) {
			t.Errorf("%s: %q, %d changes:\n%s", tt.name, s.Table, len(s.Changes), text(t, s))
		}
	}
}

// TestRefused: what the kernel counted stands with the VIP and its reason.
func TestRefused(t *testing.T) {
	cfg := parse(t, farm)
	s := NewStatus(cfg, health.Known{}, now)
	counts := map[string]uint64{
		rules.CounterName(rules.RefusedByDeny, "ftp"): 5, rules.CounterName(rules.RefusedByRate, "ftp"): 0, rules.CounterName(rules.RefusedByDeny, "other"): 9,
	}
	s.AddVIP(cfg, &cfg.VIPs[0], Kernel{Counts: counts}, health.Known{})
	got := text(t, s)
	if !strings.Contains(got, "  refused of clients in the list deny: 5\n") || !strings.Contains(got, "  refused beyond new_per_second_per_client: 0\n") ||
		strings.Contains(got, ": 9\n") || strings.Count(got, "refused") != 2 {
		t.Errorf("text:\n%s", got)
	}
}

// TestFigures: of what a helper says, an admin sees what happened, and no rows of zeros.
func TestFigures(t *testing.T) {
	cfg := parse(t, farm)
	s := status(cfg, health.Known{Admin: admin.File{}}, nil)
	s.Helper.Live = &live.Figures{
		Version: "1.2", PID: 77, Started: now.Add(-26 * time.Hour), SessionsTotal: 9, SessionsCurrent: 2, Awaited: 1,
		Data:      map[string]uint64{"opened": 4, "never_came": 2, "failed": 0},
		Transfers: []live.Transfer{{Mode: "passive", Direction: "download", Count: 3, Bytes: 3 << 20}, {Mode: "active", Direction: "upload", Count: 1, Uncounted: 1}},
		Refusals:  map[string]uint64{"foreign_address": 6, "quota": 0}, Unread: map[string]uint64{"no_session": 8}, Throttled: 5,
	}
	_, got, _ := strings.Cut(text(t, s), "dropped\n")
	got, _, _ = strings.Cut(got, "last health round")
	want := `  version 1.2, process 77, up 1d2h
  sessions: 2 now, 9 so far
  data connections: 1 awaited now, 4 opened, 2 never came
  passive download: 3, 3.0 MiB
  active upload: 1, 0 B (1 more without byte counts)
  refused, foreign address: 6
  packets unread, no session: 8
  packets dropped of clients that used more than their share: 5
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
