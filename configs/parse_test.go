package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestParse has the configurations that are right, and what is filled into them.
func TestParse(t *testing.T) {
	// farm is a pool of one IPv4 server, as lines to put more keys behind.
	const farm = "pools:\n- name: farm\n  backends: [{name: a, addresses: [10.0.0.1]}]\n"
	const ftp = "vips:\n- {name: ftp, addresses: [192.0.2.1], port: 21, pool: farm}\n"

	tests := []struct {
		name, text string
		check      func(*Config) (got, want any)
	}{
		{"OK empty table", "vips: []", func(c *Config) (any, any) { return len(c.VIPs) + len(c.Pools), 0 }},
		{"OK document markers", "---\nvips: []\n...\n", nil},
		{"OK byte order mark", "\ufeffvips: []", nil},
		{"OK Windows line ends", strings.ReplaceAll(ftp+farm, "\n", "\r\n"), nil},
		{"OK tab after a value", "vips: []\t# none", nil},
		{"OK JSON", `{"vips": [], "helper": {"queues": 4}}`,
			func(c *Config) (any, any) { return c.Helper.Queues, 4 }},

		{"OK defaults of a VIP", ftp + farm, func(c *Config) (any, any) {
			return c.VIPs[0], VIP{Name: "ftp", Addrs: addrsOf("192.0.2.1", ""), Port: 21, Pool: &c.Pools[0],
				Application: FTPControl, OnHelperDown: Hold, FXP: FXPRefuse, PortsMin: 1024, DataSource: SourceStrict}
		}},
		{"OK advertise by client", strings.Replace(ftp, "pool:", `advertise: [{clients: 10.0.0.0/8, address: vip}, {clients: 0.0.0.0/0, address: 203.0.113.10}],
    passive_range: 50000-51999, tls_without_slice: refuse, pool:`, 1) + farm, func(c *Config) (any, any) {
			v := c.VIPs[0]
			return fmt.Sprint(v.AdvertiseTo, v.PassiveRange, v.RefuseTLS), "[{10.0.0.0/8 invalid IP} {0.0.0.0/0 203.0.113.10}] {50000 51999} true"
		}},
		{"OK defaults of the helper", ftp + farm, func(c *Config) (any, any) {
			return c.Helper, helperOf(2, 2100, CarrierAuto)
		}},
		{"OK defaults of health", ftp + farm, func(c *Config) (any, any) {
			return c.Pools[0].Health, defaultHealth(CheckFTPBanner)
		}},
		{"OK default scheduler", ftp + farm, func(c *Config) (any, any) { return c.Pools[0].Scheduler, SourceHash }},
		{"OK default weight", ftp + farm, func(c *Config) (any, any) { return c.Pools[0].Backends[0].Weight, 10 }},
		{"OK default snat", ftp + farm, func(c *Config) (any, any) { return c.Pools[0].SNAT, SNAT{Mode: SNATNone} }},
		{"OK health without keys", ftp + farm + "  health: {}", nil},
		{"OK health of ftp-transfer", ftp + farm + `  health: {check: ftp-transfer, user: probe, password: 12345, interval: 1s,
    tls: {mode: explicit, min_version: 1.3, pin: "9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08"},
    modes: [eprt], path: check.txt, size: 10, source: 10.0.0.9, through: vip, flap: {changes: 5, window: 10m},
    on_all_down: keep-last, notify: [/bin/true, a b], restore: off}`, func(c *Config) (any, any) {
			h := defaultHealth(CheckFTPTransfer)
			h.User, h.Password, h.Interval, h.IntervalDown = "probe", "12345", time.Second, time.Second
			h.TLS = TLS{Mode: TLSExplicit, MinVersion: "1.3",
				Pin: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}
			h.Modes, h.Path, h.Size, h.Source = []DataMode{ModeEPRT}, "check.txt", 10, addrsOf("10.0.0.9", "")
			h.Through, h.Flap, h.OnAllDown = ThroughVIP, Flap{5, 10 * time.Minute}, AllDownKeepLast
			h.Notify, h.Restore = []string{"/bin/true", "a b"}, false
			return fmt.Sprint(c.Pools[0].Health, string(c.Pools[0].Health.Password)), fmt.Sprint(h, "12345")
		}},
		{"OK health of exec", ftp + farm + "  health: {check: exec, command: [/bin/true]}", nil},
		{"OK metrics", "{vips: [], helper: {metrics: \"[::1]:9121\"}}", func(c *Config) (any, any) {
			return c.Helper.Metrics, netip.MustParseAddrPort("[::1]:9121")
		}},

		{"OK check of a tcp pool", tcpVIP(ftp) + farm,
			func(c *Config) (any, any) { return c.Pools[0].Health.Check, CheckTCP }},
		{"OK check of an unused pool", "vips: []\n" + farm,
			func(c *Config) (any, any) { return c.Pools[0].Health.Check, CheckTCP }},
		{"OK check of a shared pool",
			ftp + "- {name: t, addresses: [192.0.2.2], port: 21, application: tcp, pool: farm}\n" + farm,
			func(c *Config) (any, any) { return c.Pools[0].Health.Check, CheckFTPBanner }},
		{"OK ftp-banner, one VIP of two is FTP",
			ftp + "- {name: t, addresses: [192.0.2.2], port: 21, application: tcp, pool: farm}\n" + farm +
				"  health: {check: ftp-banner}", nil},

		{"OK port of the VIP", strings.Replace(ftp, "21", "2121", 1) + farm,
			func(c *Config) (any, any) { return c.Pools[0].Backends[0].Port, uint16(2121) }},
		{"OK port of an unused pool", "vips: []\n" + farm,
			func(c *Config) (any, any) { return c.Pools[0].Backends[0].Port, uint16(21) }},
		{"OK own port under VIPs that differ",
			ftp + "- {name: alt, addresses: [192.0.2.1], port: 2121, pool: farm}\n" +
				strings.Replace(farm, "name: a,", "name: a, port: 2020,", 1),
			func(c *Config) (any, any) { return c.Pools[0].Backends[0].Port, uint16(2020) }},

		{"OK snat masquerade", ftp + farm + "  snat: masquerade",
			func(c *Config) (any, any) { return c.Pools[0].SNAT, SNAT{Mode: SNATMasquerade} }},
		{"OK snat one address", ftp + farm + "  snat: 10.0.0.9",
			func(c *Config) (any, any) {
				return c.Pools[0].SNAT, SNAT{Mode: SNATAddress, Addrs: addrsOf("10.0.0.9", "")}
			}},
		{"OK snat list", ftp + farm + `  snat: ["fd00::9", 10.0.0.9]`,
			func(c *Config) (any, any) {
				return c.Pools[0].SNAT, SNAT{Mode: SNATAddress, Addrs: addrsOf("10.0.0.9", "fd00::9")}
			}},
		{"OK snat to the VIP", ftp + farm + "  snat: 192.0.2.1", nil},

		{"OK source group auto", ftp + farm, func(c *Config) (any, any) { return c.Pools[0].SourceGroup, &c.VIPs[0] }},
		{"OK source group off", ftp + farm + "  source_group: off",
			func(c *Config) (any, any) { return c.Pools[0].SourceGroup, (*VIP)(nil) }},
		{"OK source group of an unused pool", "vips: []\n" + farm,
			func(c *Config) (any, any) { return c.Pools[0].SourceGroup, (*VIP)(nil) }},
		{"OK source group auto, two VIPs",
			ftp + "- {name: two, addresses: [192.0.2.2], port: 21, pool: farm}\n" + farm,
			func(c *Config) (any, any) { return c.Pools[0].SourceGroup, (*VIP)(nil) }},
		{"OK source group named, two VIPs",
			ftp + "- {name: two, addresses: [192.0.2.2], port: 21, pool: farm}\n" + farm + "  source_group: two",
			func(c *Config) (any, any) { return c.Pools[0].SourceGroup, &c.VIPs[1] }},
		{"OK backend in two pools, one without source group",
			ftp + "- {name: two, addresses: [192.0.2.2], port: 21, pool: more}\n" + farm +
				"- name: more\n  source_group: off\n  backends: [{name: a, addresses: [10.0.0.1]}]\n", nil},

		{"OK fallback takes port, check and source group from the VIPs that come to it", strings.Replace(ftp, "port: 21", "port: 2121", 1) +
			"pools:\n- {name: farm, fallback: sorry, backends: [{name: a, addresses: [10.0.0.1]}]}\n" +
			"- {name: sorry, backends: [{name: a, addresses: [10.0.0.2]}]}\n",
			func(c *Config) (any, any) {
				p := c.Pool("sorry")
				return fmt.Sprint(p.Backends[0].Port, " ", p.Health.Check, " ", p.SourceGroup.Name), "2121 ftp-banner ftp"
			}},
		{"OK quorum, tiers, slow start, affinity", ftp + `pools: [{name: farm, scheduler: random, min_members: 2, slow_start: 60s,
			affinity: 1h, backends: [{name: a, addresses: [10.0.0.1]}, {name: b, addresses: [10.0.0.2], tier: 2}]}]`,
			func(c *Config) (any, any) {
				p := c.Pool("farm")
				return fmt.Sprint(p.MinMembers, p.Backends[0].Tier, p.Backends[1].Tier, p.SlowStart, p.Affinity), "2 1 2 1m0s 1h0m0s"
			}},
		{"OK none", ftp + farm + "  slow_start: 0s\n  affinity: 0s",
			func(c *Config) (any, any) { return c.Pools[0].SlowStart + c.Pools[0].Affinity, 0 * time.Second }},

		{"OK IPv6 in any form", `vips: [{name: v, addresses: ["2001:DB8:0:0::1"], port: 21, pool: p}]` +
			"\npools: [{name: p, backends: [{name: a, addresses: [fd00::1]}]}]",
			func(c *Config) (any, any) { return c.VIPs[0].Addrs, addrsOf("", "2001:db8::1") }},
		{"OK aliases", ftp + strings.Replace(farm, "name: a,", "name: a, aliases: [127.0.0.1, 172.16.0.1],", 1),
			func(c *Config) (any, any) {
				return fmt.Sprint(c.Pools[0].Backends[0].Aliases), "[127.0.0.1 172.16.0.1]"
			}},
		{"OK passive ports", ftp + strings.Replace(farm, "name: a,", "name: a, passive_ports: 1024-65535,", 1),
			func(c *Config) (any, any) { return c.Pools[0].Backends[0].PassivePorts, PortRange{1024, 65535} }},
		{"OK slices that touch", ftp + `pools: [{name: farm, backends: [
			{name: a, addresses: [10.0.0.1], passive_ports: 2000-2999},
			{name: b, addresses: [10.0.0.2], passive_ports: 3000-3000}]}]`, nil},
		{"OK one slice in two families that never meet", "vips: []\n" + `pools: [{name: farm, backends: [
			{name: a, addresses: [10.0.0.1], passive_ports: 2000-2999},
			{name: b, addresses: ["fd00::1"], passive_ports: 2000-2999}]}]`, nil},
		{"OK one slice on two VIP addresses", ftp +
			"- {name: two, addresses: [192.0.2.2], port: 21, pool: more}\n" + `pools:
- {name: farm, backends: [{name: a, addresses: [10.0.0.1], passive_ports: 2000-2999}]}
- {name: more, backends: [{name: a, addresses: [10.0.0.2], passive_ports: 2000-2999}]}`, nil},
		{"OK one server, two ports", ftp + "pools: [{name: farm, backends: [" +
			"{name: a, addresses: [10.0.0.1], port: 21}, {name: b, addresses: [10.0.0.1], port: 2121}]}]", nil},
		{"OK name of digits in quotes", strings.ReplaceAll(ftp+farm, "farm", `"24"`),
			func(c *Config) (any, any) { return c.Pool("24") != nil, true }},
		{"OK last queue", "vips: []\nhelper: {first_queue: 65472, queues: 64}",
			func(c *Config) (any, any) { return c.Helper.FirstQueue, uint16(65472) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := Parse("test.yaml", []byte(tt.text), nil)
			if err != nil {
				t.Fatalf("%v\n%s", err, tt.text)
			}
			assertValid(t, cfg)
			if tt.check == nil {
				return
			}
			if got, want := tt.check(cfg); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

func tcpVIP(ftp string) string { return strings.Replace(ftp, "pool:", "application: tcp, pool:", 1) }

// TestParseText has what a golden file cannot show well: bytes and sizes.
func TestParseText(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"bad: UTF-16", "\xff\xfev\x00", "f:1: the file is UTF-16; allowed: UTF-8 text; remedy: save it as UTF-8"},
		{"bad: Latin-1", "vips: []\n# caf\xe9\n", "f:2: byte 0xe9: not UTF-8; allowed: UTF-8 text; " +
			"remedy: save the file as UTF-8, or delete the character"},
		{"bad: NUL", "vips: []\n\x00", "f:2: byte 0x00: a control character; allowed: text; " +
			"remedy: delete it; is this a text file?"},
		{"bad: deep nesting", strings.Repeat("[", 20000), "f:1: not valid YAML: exceeded max depth of 10000; " +
			"remedy: look here and in the lines after: colons, quotes, brackets, and indentation by spaces"},
		{"bad: escape sequence for the terminal", `{vips: [], "\e[2J": 1}`, `f:1: "\x1b[2J": 1: unknown key; ` +
			"allowed: vips | pools | helper | offload_devices; remedy: delete the line"},
		{"bad: long value", "{vips: [], helper: {carrier: " + strings.Repeat("x", 500) + "}}",
			"f:1: helper.carrier: " + strings.Repeat("x", 60) + "...: is not one of the allowed words; " +
				"allowed: auto | cthelper | sane; remedy: use one of them"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("f", []byte(tt.text), nil)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// TestTooManyBackends stands here because its file would be long.
func TestTooManyBackends(t *testing.T) {
	pool := func(n int) []byte {
		var b strings.Builder
		b.WriteString("vips: []\npools:\n- name: farm\n  backends:\n")
		for i := range n {
			fmt.Fprintf(&b, "  - {name: b%d, addresses: [10.0.%d.%d]}\n", i, i/250, 1+i%250)
		}
		return []byte(b.String())
	}
	if _, err := Parse("f", pool(MaxBackends), nil); err != nil {
		t.Errorf("%d backends: %v", MaxBackends, err)
	}
	_, err := Parse("f", pool(MaxBackends+1), nil)
	want := "f:5: pools[0].backends: [...]: 3277 backends are too many; allowed: 1..3276; remedy: split the pool"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestProblems shows that a caller can take an error apart.
func TestProblems(t *testing.T) {
	_, err := Parse("f.yaml", []byte("vips: []\nhelper:\n  queues: 65\n  carrier: magic\n"), nil)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%T %v, want a *Error", err, err)
	}
	want := []Problem{
		{Line: 3, Path: "helper.queues", Value: "65", Message: "is too big", Want: "1..64", Remedy: "use 64 or less"},
		{Line: 4, Path: "helper.carrier", Value: "magic", Message: "is not one of the allowed words",
			Want: "auto | cthelper | sane", Remedy: "use one of them"},
	}
	if fmt.Sprint(e.Problems) != fmt.Sprint(want) || e.Path != "f.yaml" {
		t.Errorf("got  %v\nwant %v", e.Problems, want)
	}
}

// assertValid checks the promises that the rest of the program relies on.
func assertValid(t *testing.T, c *Config) {
	t.Helper()
	listeners := make(map[netip.AddrPort]bool)
	for _, v := range c.VIPs {
		p := v.Pool
		if p == nil || c.Pool(p.Name) != p {
			t.Fatalf("VIP %s: no pool", v.Name)
		}
		if c.vip(v.Name).Port != v.Port || v.Port == 0 || len(v.Addrs.All()) == 0 ||
			v.Application == "" || v.OnHelperDown == "" {
			t.Errorf("VIP is not complete: %+v", v)
		}
		for _, a := range v.Addrs.All() {
			if ap := netip.AddrPortFrom(a, v.Port); listeners[ap] {
				t.Errorf("two VIPs on %s", ap)
			} else {
				listeners[ap] = true
			}
			if !anyBackend(p, FamilyOf(a)) {
				t.Errorf("VIP %s: no backend for %s", v.Name, a)
			}
		}
		assertAddrs(t, v.Addrs)
	}
	for _, p := range c.Pools {
		assertPool(t, c, p)
	}
	h := c.Helper
	if h.Queues < 1 || h.Queues > 64 || int(h.FirstQueue)+h.Queues-1 > 65535 || h.Carrier == "" {
		t.Errorf("helper: %+v", h)
	}
}

func assertPool(t *testing.T, c *Config, p Pool) {
	t.Helper()
	h := p.Health
	if p.Name == "" || p.Scheduler == "" || h.Check == "" || h.Timeout < minTimeout || h.Timeout > maxTimeout ||
		h.Rise < 1 || h.Fall < 1 || p.MinMembers < 1 || len(p.Backends) < p.MinMembers || len(p.Backends) == 0 || len(p.Backends) > MaxBackends {
		t.Errorf("pool is not complete: %+v", p)
	}
	for i := range c.VIPs {
		v := &c.VIPs[i]
		if slices.Contains(p.VIPs, v) != slices.Contains(v.Pool.Chain(), c.Pool(p.Name)) {
			t.Errorf("pool %s: does VIP %s use it?", p.Name, v.Name)
		}
	}
	if v := p.SourceGroup; v != nil && !slices.Contains(p.VIPs, v) {
		t.Errorf("pool %s: source group %s", p.Name, v.Name)
	}
	if has := len(p.SNAT.Addrs.All()) > 0; has != (p.SNAT.Mode == SNATAddress) {
		t.Errorf("pool %s: snat %+v", p.Name, p.SNAT)
	}
	assertAddrs(t, p.SNAT.Addrs)
	names := make(map[string]bool)
	for _, b := range p.Backends {
		r := b.PassivePorts
		if names[b.Name] || b.Name == "" || b.Port == 0 || b.Weight < 1 || b.Weight > 100 || b.Tier < 1 || b.Tier > 100 ||
			len(b.Addrs.All()) == 0 || r.First > r.Last || !r.IsZero() && r.First < 1024 {
			t.Errorf("pool %s: backend is not complete: %+v", p.Name, b)
		}
		names[b.Name] = true
		assertAddrs(t, b.Addrs)
		for _, o := range p.Backends {
			for _, f := range Families {
				if o.Name != b.Name && o.Addrs.Of(f).IsValid() && b.Addrs.Of(f).IsValid() && r.Overlaps(o.PassivePorts) {
					t.Errorf("pool %s: slices of %s and %s overlap", p.Name, o.Name, b.Name)
				}
			}
		}
	}
}

func assertAddrs(t *testing.T, as Addrs) {
	t.Helper()
	if as.V4.IsValid() && !as.V4.Is4() || as.V6.IsValid() && (!as.V6.Is6() || as.V6.Is4In6() || as.V6.Zone() != "") {
		t.Errorf("addresses are not plain: %+v", as)
	}
}
