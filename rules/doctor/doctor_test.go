package doctor

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/rules"
	"ftpvip/rules/walk"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// healthy is a host with nothing wrong: clients behind wan0, backends behind lan0.
func healthy() *Facts {
	cfg := &configs.Config{
		VIPs: []configs.VIP{{
			Name: "ftp", Port: 21, Application: configs.FTPControl,
			Addrs: configs.Addrs{V4: addr("192.0.2.10"), V6: addr("2001:db8::10")},
		}},
		Pools: []configs.Pool{{
			Name: "farm", SNAT: configs.SNAT{Mode: configs.SNATNone}, Health: configs.Health{Check: configs.CheckFTPBanner},
			Backends: []configs.Backend{{
				Name: "ftp1", Port: 21, Weight: 10, Addrs: configs.Addrs{V4: addr("10.2.0.11"), V6: addr("fd00::11")},
			}},
		}},
		Helper: configs.Helper{Queues: 2, FirstQueue: 2100, Carrier: configs.CarrierAuto},
	}
	cfg.VIPs[0].Pool = &cfg.Pools[0]
	cfg.Link()
	return &Facts{
		Config: cfg, Command: "ftpvip", Systemd: true, Foreign: &walk.Ruleset{}, Kernel: Kernel{Queue: true, CTHelper: true, Connlimit: true, Limit: true},
		Sysctls: map[string]string{
			"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1", "net/ipv4/conf/all/rp_filter": "0",
			"net/ipv4/conf/wan0/rp_filter": "0", "net/ipv4/conf/lan0/rp_filter": "0",
			"net/ipv4/conf/wan0/forwarding": "1", "net/ipv4/conf/lan0/forwarding": "1",
			"net/netfilter/nf_conntrack_count": "100", "net/netfilter/nf_conntrack_max": "1000",
			"net/netfilter/nf_conntrack_acct": "1", "net/netfilter/nf_conntrack_tcp_loose": "0",
		},
		Links: []Link{
			{Name: "wan0", Index: 2, MTU: 1500, Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24"), netip.MustParsePrefix("2001:db8:1::1/64")}},
			{Name: "lan0", Index: 3, MTU: 1500, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.2.0.1/16"), netip.MustParsePrefix("fd00::1/64")}},
		},
		Routes: map[netip.Addr]Route{
			addr("192.0.2.10"): {Kind: Local, Link: "lo"}, addr("2001:db8::10"): {Kind: Local, Link: "lo"},
			addr("10.2.0.11"):     {Kind: Unicast, Link: "lan0", Src: addr("10.2.0.1")},
			addr("fd00::11"):      {Kind: Unicast, Link: "lan0", Src: addr("fd00::1")},
			addr("198.51.100.11"): {Kind: Unicast, Link: "wan0", Src: addr("198.51.100.1")},
		},
		Default: map[configs.Family]string{configs.IPv4: "wan0", configs.IPv6: "wan0"},
		Flows:   map[FlowKey]Flow{},
	}
}

// firewall adds a table with one base chain of one rule.
func (f *Facts) firewall(family walk.Family, table, chain string, b rules.Base, exprs ...walk.Expr) *walk.Table {
	t := &walk.Table{Family: family, Name: table, Helpers: map[string]string{"h": "ftp"}}
	c := &walk.Chain{Table: t, Name: chain, Base: &b}
	if len(exprs) > 0 {
		c.Rules = []walk.Rule{{Handle: 7, Exprs: exprs}}
	}
	t.Chains = []*walk.Chain{c}
	f.Foreign.Tables = append(f.Foreign.Tables, t)
	return t
}

func forward(drop bool) rules.Base {
	return rules.Base{Type: rules.TypeFilter, Hook: rules.HookForward, Drop: drop}
}

func onTCP(more ...walk.Expr) []walk.Expr {
	return append([]walk.Expr{
		walk.Load{From: walk.Field{Kind: walk.Meta, Key: unix.NFT_META_L4PROTO}}, walk.Cmp{Data: []byte{unix.IPPROTO_TCP}},
		walk.Load{From: walk.Field{Kind: walk.Transport, Key: 2, Len: 2}}, walk.Cmp{Data: []byte{0, 21}},
	}, more...)
}

func onLink0(key uint32, name string, more ...walk.Expr) []walk.Expr {
	return append([]walk.Expr{
		walk.Load{From: walk.Field{Kind: walk.Meta, Key: key}}, walk.Cmp{Data: append([]byte(name), make([]byte, 16-len(name))...)},
	}, more...)
}

func TestJudge(t *testing.T) {
	accept, drop := walk.Verdict{Kind: walk.Accept}, walk.Verdict{Kind: walk.Drop}
	prerouting := func(kind rules.ChainType, priority int) rules.Base {
		return rules.Base{Type: kind, Hook: rules.HookPrerouting, Priority: priority}
	}
	for _, tc := range []struct {
		name   string
		change func(f *Facts)
		want   []string // severity, identity and a piece of the remedy, of each finding
	}{
		{"healthy", func(*Facts) {}, nil},
		{"one client", func(f *Facts) { f.Client = addr("198.51.100.11") }, nil},
		{"no capability", func(f *Facts) { f.NoAdmin, f.Foreign, f.Table.Missing = true, nil, true }, []string{"error no-net-admin sudo ftpvip doctor"}},
		{"no table", func(f *Facts) { f.Table.Missing = true }, []string{"error table-missing ftpvip apply"}},
		{"another table", func(f *Facts) { f.Table.Changes = []string{"+ x"} }, []string{"error table-differs ftpvip apply"}},
		{"no helper", func(f *Facts) { f.Unheard = []uint16{2100} }, []string{"error helper-down systemctl restart ftpvip-helper.service"}},
		{"no helper, no systemd", func(f *Facts) { f.Unheard, f.Systemd = []uint16{2100}, false }, []string{"error helper-down ftpvip helper"}},
		{"no helper needed", func(f *Facts) { f.Unheard = []uint16{2100}; f.Config.VIPs[0].Application = configs.TCP }, nil},
		{"IPv4 forwarding", func(f *Facts) { f.Sysctls["net/ipv4/ip_forward"] = "0" }, []string{"error forwarding-off-4 sysctl -w net.ipv4.ip_forward=1"}},
		{"IPv4 forwarding that nobody needs", func(f *Facts) {
			f.Sysctls["net/ipv4/ip_forward"] = "0"
			f.Config.VIPs[0].Addrs.V4 = netip.Addr{}
		}, nil},
		{"forwarding to a backend on this host", func(f *Facts) {
			f.Sysctls["net/ipv4/ip_forward"] = "0"
			f.Routes[addr("10.2.0.11")] = Route{Kind: Local, Link: "lo"}
		}, nil},
		{"IPv4 forwarding of a link", func(f *Facts) { f.Sysctls["net/ipv4/conf/lan0/forwarding"] = "0" }, []string{"error forwarding-off-4 sysctl -w net.ipv4.conf.lan0.forwarding=1"}},
		{"IPv6 forwarding", func(f *Facts) { f.Sysctls["net/ipv6/conf/all/forwarding"] = "0" }, []string{"error forwarding-off-6 sysctl -w net.ipv6.conf.all.forwarding=1"}},
		{"VIP elsewhere", func(f *Facts) { f.Routes[addr("192.0.2.10")] = Route{Kind: Unicast, Link: "wan0"} }, []string{"note vip-not-local"}},
		{"VIP in use elsewhere", func(f *Facts) {
			f.Routes[addr("192.0.2.10")] = Route{Kind: Unicast, Link: "wan0"}
			f.Flows[FlowKey{at("192.0.2.10:21"), at("10.2.0.11:21")}] = Flow{Answered: 1}
		}, nil},
		{"VIP unanswered", vipOnWAN, []string{"error vip-not-local ip address add 198.51.100.200/32 dev wan0"}},
		{"VIP by proxy ARP", func(f *Facts) { vipOnWAN(f); f.Sysctls["net/ipv4/conf/wan0/proxy_arp"] = "1" }, nil},
		{"VIP standing by", func(f *Facts) { vipOnWAN(f); f.Keepalived = true }, []string{"note vip-not-local"}},
		{"no route", func(f *Facts) { f.Routes[addr("10.2.0.11")] = Route{Kind: NoRoute} }, []string{"error backend-no-route ip route add 10.2.0.11/32 dev lan0"}},
		{"no route beyond", func(f *Facts) {
			f.Routes[addr("10.2.0.11")] = Route{Kind: NoRoute}
			f.Links[1].Prefixes = f.Links[1].Prefixes[1:]
		}, []string{"error backend-no-route ip route add 10.2.0.11/32 via ROUTER"}},
		{"no route to a pool that is fallen back to", func(f *Facts) {
			f.Config.Pools = append(f.Config.Pools, configs.Pool{Name: "sorry", Backends: []configs.Backend{
				{Name: "ftp9", Port: 21, Addrs: configs.Addrs{V4: addr("10.2.0.99")}},
			}})
			f.Config.VIPs[0].Pool, f.Config.Pools[0].Fallback = &f.Config.Pools[0], &f.Config.Pools[1]
			f.Config.Link()
		}, []string{"error backend-no-route ip route add 10.2.0.99/32 dev lan0"}},
		{"forbidden route", func(f *Facts) { f.Routes[addr("fd00::11")] = Route{Kind: Unusable, Text: "blackhole fd00::/64"} }, []string{"error backend-no-route ip -6 route delete blackhole fd00::/64"}},
		{"bypass", func(f *Facts) { f.Flows[FlowKey{at("192.0.2.10:21"), at("10.2.0.11:21")}] = Flow{Unanswered: 3} }, []string{"error replies-bypass ip route replace default via 10.2.0.1"}},
		{"no bypass of what is down", func(f *Facts) {
			f.Flows[FlowKey{at("192.0.2.10:21"), at("10.2.0.11:21")}] = Flow{Unanswered: 3}
			f.Down = map[configs.Ref]bool{{Pool: "farm", Backend: "ftp1"}: true}
		}, nil},
		{"no bypass where some are answered", func(f *Facts) {
			f.Flows[FlowKey{at("192.0.2.10:21"), at("10.2.0.11:21")}] = Flow{Unanswered: 2, Answered: 1}
		}, nil},
		{"bypass, but for neighbours of this host", func(f *Facts) {
			f.Flows[FlowKey{at("192.0.2.10:21"), at("10.2.0.11:21")}] = Flow{Unanswered: 5, Answered: 1}
		}, []string{"error replies-bypass ip route replace default via 10.2.0.1"}},
		{"the file is broken", func(f *Facts) { f.ConfigError = "f:1: x\nf:2: y" }, []string{"error config-broken ftpvip check"}},
		{"the state directory is full", func(f *Facts) { f.StateDir, f.Unwritable = "/s", "no space" }, []string{"error state-unwritable df -h /s; findmnt -T /s"}},
		{"a saved table", func(f *Facts) { f.Saved = []SavedTable{{"/etc/nftables.conf", 7}} }, []string{
			"warning table-saved sed -i '/^table inet ftpvip {/,/^}/d' /etc/nftables.conf"}},
		{"the helper is deaf", func(f *Facts) { f.Deaf = "timeout" }, []string{"error helper-deaf systemctl restart ftpvip-helper.service"}},
		{"the helper has another configuration", func(f *Facts) { f.HelperID, f.AppliedID = "a", "b" }, []string{
			"error helper-config systemctl reload ftpvip-helper.service"}},
		{"the VIP was removed from its link", func(f *Facts) {
			f.Config.VIPs[0].Bind = "wan0"
			f.Routes[addr("192.0.2.10")] = Route{Kind: Unicast, Link: "wan0"}
		}, []string{"error vip-unbound ftpvip apply"}},
		{"short timeout", func(f *Facts) { f.Sysctls["net/netfilter/nf_conntrack_tcp_timeout_established"] = "300" }, []string{
			"warning short-timeout sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=86400"}},
		{"usual timeout", func(f *Facts) { f.Sysctls["net/netfilter/nf_conntrack_tcp_timeout_established"] = "432000" }, nil},
		{"no bypass in one-arm mode", func(f *Facts) {
			f.Flows[FlowKey{at("192.0.2.10:21"), at("10.2.0.11:21")}] = Flow{Unanswered: 3}
			f.Config.Pools[0].SNAT.Mode = configs.SNATMasquerade
		}, nil},
		{"strict, but symmetric", func(f *Facts) { f.Sysctls["net/ipv4/conf/all/rp_filter"] = "1" }, nil},
		{"loose", func(f *Facts) {
			f.Sysctls["net/ipv4/conf/all/rp_filter"], f.Sysctls["net/ipv4/conf/lan0/rp_filter"] = "1", "2"
			f.Routes[addr("10.2.0.11")] = Route{Kind: Unicast, Link: "wan0"}
		}, nil},
		{"strict towards a backend", func(f *Facts) {
			f.Sysctls["net/ipv4/conf/all/rp_filter"] = "1"
			f.Routes[addr("10.2.0.11")] = Route{Kind: Unicast, Link: "wan0"}
		}, []string{"error rp-filter sysctl -w net.ipv4.conf.lan0.rp_filter=2"}},
		{"strict towards clients", func(f *Facts) {
			f.Sysctls["net/ipv4/conf/wan0/rp_filter"] = "1"
			f.Config.VIPs[0].Addrs.V4 = addr("198.51.100.1")
			f.Routes[addr("198.51.100.1")] = Route{Kind: Local, Link: "lo"}
			f.Default[configs.IPv4] = "wan1"
		}, []string{"error rp-filter sysctl -w net.ipv4.conf.wan0.rp_filter=2"}},
		{"strict, by its effect", func(f *Facts) {
			f.Sysctls["net/ipv4/conf/all/rp_filter"], f.RPDrops = "1", 9
			f.Config.Pools[0].SNAT.Mode = configs.SNATMasquerade
			f.Flows[FlowKey{at("192.0.2.10:21"), at("10.2.0.11:21")}] = Flow{Unanswered: 3}
		}, []string{"error rp-filter sysctl -w net.ipv4.conf.wan0.rp_filter=2", "error rp-filter sysctl -w net.ipv4.conf.lan0.rp_filter=2"}},
		{"conntrack filling", func(f *Facts) { f.Sysctls["net/netfilter/nf_conntrack_count"] = "801" }, []string{"warning conntrack-full sysctl -w net.netfilter.nf_conntrack_max=2000"}},
		{"conntrack full", func(f *Facts) { f.Sysctls["net/netfilter/nf_conntrack_count"] = "990" }, []string{"error conntrack-full sysctl -w net.netfilter.nf_conntrack_max=2000"}},
		{"more announced than the kernel takes", func(f *Facts) {
			f.Config.Helper.MaxData, f.Sysctls["net/netfilter/nf_conntrack_expect_max"] = 16384, "4096"
		}, []string{"note expect-max sysctl -w net.netfilter.nf_conntrack_expect_max=16384"}},
		{"no accounting", func(f *Facts) { f.Sysctls["net/netfilter/nf_conntrack_acct"] = "0" }, []string{"note no-accounting sysctl -w net.netfilter.nf_conntrack_acct=1"}},
		{"loose TCP, the same slot", func(f *Facts) {
			f.Sysctls["net/netfilter/nf_conntrack_tcp_loose"] = "1"
			f.Config.Pools[0].Scheduler = configs.SourceHash
		}, nil},
		{"loose TCP", func(f *Facts) { f.Sysctls["net/netfilter/nf_conntrack_tcp_loose"] = "1" }, []string{"note tcp-loose sysctl -w net.netfilter.nf_conntrack_tcp_loose=0"}},
		{"automatic helper", func(f *Facts) {
			f.Sysctls["net/netfilter/nf_conntrack_helper"] = "1"
			f.Modules = map[string]bool{"nf_conntrack_ftp": true}
		}, []string{"error auto-helper sysctl -w net.netfilter.nf_conntrack_helper=0"}},
		{"automatic helper without the module", func(f *Facts) { f.Sysctls["net/netfilter/nf_conntrack_helper"] = "1" }, []string{"note auto-helper sysctl"}},
		{"small kernel", func(f *Facts) { f.Kernel = Kernel{} }, []string{"note no-nft-queue", "note no-cthelper"}},
		{"no flowtables", func(f *Facts) { f.Config.VIPs[0].Offload = true }, []string{"note no-flowtables"}},
		{"flowtables", func(f *Facts) {
			f.Config.VIPs[0].Offload = true
			f.Kernel.Flowtables = true
		}, nil},
		{"small kernel, big wish", func(f *Facts) { f.Kernel.CTHelper = false; f.Config.Helper.Carrier = configs.CarrierCTHelper }, []string{"error no-cthelper modprobe nfnetlink_cthelper"}},
		{"limits", func(f *Facts) { f.Config.VIPs[0].Limits = configs.Limits{PerClient: 3, NewPerSecond: 1, Burst: 1} }, nil},
		{"limits that the kernel cannot keep", func(f *Facts) {
			f.Config.VIPs[0].Limits = configs.Limits{PerBackend: 3, NewPerSecond: 1, Burst: 1}
			f.Kernel.Connlimit, f.Kernel.Limit = false, false
		}, []string{"error no-nft_connlimit modprobe nft_connlimit", "error no-nft_limit modprobe nft_limit"}},
		{"legacy", func(f *Facts) { f.Legacy = []string{"ip nat"} }, []string{"note legacy-iptables"}},
		{"unread", func(f *Facts) { f.Foreign, f.ForeignErr = nil, "boom" }, []string{"warning firewall-unread ftpvip doctor"}},
		{"drops all", func(f *Facts) { f.firewall(walk.INet, "admin", "fwd", forward(true)) }, []string{
			"error firewall-control nft insert rule inet admin fwd 'ip daddr { 10.2.0.11 } tcp dport 21 accept'",
			"error firewall-related nft insert rule inet admin fwd 'ct state established,related accept'",
		}},
		{"drops data", func(f *Facts) { f.firewall(walk.IP6, "admin", "fwd", forward(true), onTCP(accept)...) }, []string{
			"error firewall-related nft insert rule ip6 admin fwd 'ct state established,related accept'",
		}},
		{"drops passive ports", func(f *Facts) {
			f.Config.Pools[0].Backends[0].PassivePorts = configs.PortRange{First: 50000, Last: 50999}
			f.firewall(walk.IP, "admin", "fwd", forward(true), onTCP(accept)...)
		}, []string{
			"error firewall-control nft insert rule ip admin fwd 'ip daddr 10.2.0.11 tcp dport 50000-50999 accept'",
			"error firewall-related nft insert",
		}},
		{"of iptables", func(f *Facts) { f.firewall(walk.IP, "filter", "FORWARD", forward(true)) }, []string{
			"error firewall-control iptables-nft -t filter -I FORWARD -p tcp -d 10.2.0.11 --dport 21 -j ACCEPT",
			"error firewall-related iptables-nft -t filter -I FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
		}},
		{"of Docker", func(f *Facts) {
			tb := f.firewall(walk.IP, "filter", "FORWARD", forward(true))
			tb.Chains = append(tb.Chains, &walk.Chain{Table: tb, Name: "DOCKER-USER"})
		}, []string{
			"error firewall-control iptables-nft -t filter -I DOCKER-USER -p tcp -d 10.2.0.11 --dport 21 -j ACCEPT",
			"error firewall-related iptables-nft -t filter -I DOCKER-USER -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
		}},
		{"of ufw", func(f *Facts) {
			tb := f.firewall(walk.IP, "filter", "FORWARD", forward(true))
			tb.Chains = append(tb.Chains, &walk.Chain{Table: tb, Name: "ufw-before-forward"})
		}, []string{
			"error firewall-control ufw route allow proto tcp from any to 10.2.0.11 port 21",
			"error firewall-related iptables-nft",
		}},
		{"of firewalld", func(f *Facts) { f.firewall(walk.INet, "firewalld", "filter_FORWARD", forward(true), onTCP(drop)...) }, []string{
			"error firewall-control firewall-cmd --permanent --new-policy ftpvip", "error firewall-related firewall-cmd",
		}},
		{"drops some links' clients", func(f *Facts) {
			f.Links = append(f.Links, Link{Name: "wan1", Index: 4, MTU: 1500, Prefixes: []netip.Prefix{netip.MustParsePrefix("203.0.113.1/24")}})
			f.Sysctls["net/ipv4/conf/wan1/forwarding"] = "1"
			f.firewall(walk.IP, "admin", "fwd", forward(false), onLink0(unix.NFT_META_IIFNAME, "wan1", drop)...)
		}, []string{"note firewall-control-unsure ftpvip doctor --client ADDRESS", "note firewall-related-unsure"}},
		{"cannot tell", func(f *Facts) {
			f.firewall(walk.IP, "admin", "fwd", forward(false), onTCP(walk.Unknown{Name: "limit", Reg: -1}, drop)...)
		}, []string{"note firewall-control-unsure"}},
		{"some ports only", func(f *Facts) {
			f.firewall(walk.IP, "admin", "fwd", forward(false), walk.Load{From: walk.Field{Kind: walk.Transport, Key: 2, Len: 2}},
				walk.Cmp{Op: walk.GreaterOrEqual, Data: []byte{0xc0, 0}}, drop)
		}, []string{"note firewall-related-unsure"}},
		{"health checks", func(f *Facts) {
			f.firewall(walk.INet, "admin", "out", rules.Base{Type: rules.TypeFilter, Hook: rules.HookOutput}, onTCP(drop)...)
		}, []string{"error firewall-health nft insert rule inet admin out 'ip daddr { 10.2.0.11 } tcp dport 21 accept'"}},
		{"no health checks", func(f *Facts) {
			f.Config.Pools[0].Health.Check = configs.CheckNone
			f.firewall(walk.INet, "admin", "out", rules.Base{Type: rules.TypeFilter, Hook: rules.HookOutput}, onTCP(drop)...)
		}, nil},
		{"MTU", func(f *Facts) {
			f.Links[0].MTU = 1400
			f.firewall(walk.IP, "admin", "out", rules.Base{Type: rules.TypeFilter, Hook: rules.HookOutput},
				walk.Load{From: walk.Field{Kind: walk.Meta, Key: unix.NFT_META_L4PROTO}}, walk.Cmp{Data: []byte{unix.IPPROTO_ICMP}}, drop)
		}, []string{"warning mtu nft insert rule ip admin out 'icmp type", "note mtu-differs"}},
		{"MTU, ICMP passes", func(f *Facts) { f.Links[0].MTU = 1400 }, []string{"note mtu-differs"}},
		{"redirect before ours", func(f *Facts) {
			f.firewall(walk.IP, "other", "pre", prerouting(rules.TypeNAT, -105), onTCP(walk.NAT{})...)
		}, []string{"error other-nat nft delete rule ip other pre handle 7"}},
		{"redirect after ours", func(f *Facts) {
			f.firewall(walk.IP, "other", "pre", prerouting(rules.TypeNAT, -90), onTCP(walk.NAT{})...)
		}, nil},
		{"redirect for some", func(f *Facts) {
			f.firewall(walk.IP, "other", "pre", prerouting(rules.TypeNAT, -105), onTCP(walk.Unknown{Name: "x", Reg: -1}, walk.NAT{})...)
		}, []string{"note other-nat-unsure"}},
		{"container's port", func(f *Facts) {
			tb := f.firewall(walk.IP, "nat", "PREROUTING", prerouting(rules.TypeNAT, -100), walk.Verdict{Kind: walk.Jump, Chain: "DOCKER"})
			tb.Chains = append(tb.Chains, &walk.Chain{Table: tb, Name: "DOCKER", Rules: []walk.Rule{{Handle: 9, Exprs: onTCP(walk.XTTarget{Name: "DNAT"})}}})
		}, []string{"error other-nat docker stop $(docker ps -q --filter publish=21)"}},
		{"another helper", func(f *Facts) {
			f.firewall(walk.INet, "other", "pre", prerouting(rules.TypeFilter, -199), onTCP(walk.SetHelper{Object: "h"})...)
		}, []string{"error other-helper nft delete rule inet other pre handle 7"}},
		{"another helper, too late", func(f *Facts) {
			f.firewall(walk.INet, "other", "pre", prerouting(rules.TypeFilter, -140), onTCP(walk.SetHelper{Object: "h"})...)
		}, nil},
		{"untracked", func(f *Facts) {
			f.firewall(walk.INet, "other", "pre", prerouting(rules.TypeFilter, -300), onTCP(walk.NoTrack{})...)
		}, []string{"error untracked nft delete rule inet other pre handle 7"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := healthy()
			tc.change(f)
			got := Judge(f)
			for _, fi := range got {
				if fi.What == "" || fi.Why == "" || fi.Counts() && len(fi.Remedy) == 0 {
					t.Errorf("an incomplete finding: %+v", fi)
				}
			}
			for _, want := range tc.want {
				i := slices.IndexFunc(got, func(fi Finding) bool {
					text := string(fi.Severity) + " " + fi.ID
					return text == want || strings.HasPrefix(want, text+" ") && strings.Contains(strings.Join(fi.Remedy, "\n"), strings.TrimPrefix(want, text+" "))
				})
				if i < 0 {
					t.Fatalf("not found: %s, in %+v", want, got)
				}
				got = slices.Delete(got, i, i+1)
			}
			for _, fi := range got {
				if !slices.ContainsFunc(tc.want, func(w string) bool { return strings.Contains(w, " "+fi.ID) }) { // once for each family
					t.Errorf("found as well: %+v", fi)
				}
			}
		})
	}
}

// vipOnWAN moves the VIP into the network of wan0, where nobody has it.
func vipOnWAN(f *Facts) {
	f.Config.VIPs[0].Addrs = configs.Addrs{V4: addr("198.51.100.200")}
	f.Routes[addr("198.51.100.200")] = Route{Kind: Unicast, Link: "wan0"}
}

func TestOrder(t *testing.T) {
	f := healthy()
	f.Sysctls["net/netfilter/nf_conntrack_acct"] = "0"
	f.Sysctls["net/netfilter/nf_conntrack_count"] = "801"
	f.Table.Missing = true
	var got []Severity
	for _, fi := range Judge(f) {
		got = append(got, fi.Severity)
	}
	if !slices.Equal(got, []Severity{Error, Warning, Note}) {
		t.Errorf("%v", got)
	}
}
