package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
)

// finding is what `ftpvip doctor -o json` says of one thing.
type finding struct {
	ID       string   `json:"id"`
	Severity string   `json:"severity"`
	What     string   `json:"what"`
	Why      string   `json:"why"`
	Remedy   []string `json:"remedy"`
	On       string   `json:"on"`
}

// diagnosis runs doctor, and checks that its exit status says the same as its words.
func (f *farm) diagnosis(t *testing.T, words ...string) []finding {
	t.Helper()
	r, err := f.ftpvip.Run(t.Context(), append([]string{"doctor", "-o", "json"}, words...)...)
	must(t, err)
	var d struct {
		Healthy  bool      `json:"healthy"`
		Findings []finding `json:"findings"`
	}
	if r.Code > 1 {
		t.Fatal(r)
	}
	must(t, json.Unmarshal([]byte(r.Stdout), &d))
	faults := slices.ContainsFunc(d.Findings, func(f finding) bool { return f.Severity != "note" })
	if d.Healthy == faults || (r.Code == 1) != faults {
		t.Fatalf("exit status, `healthy` and the findings disagree: %s", r)
	}
	return d.Findings
}

// faults lists the findings that are no notes.
func faults(list []finding) []finding {
	return slices.DeleteFunc(slices.Clone(list), func(f finding) bool { return f.Severity == "note" })
}

// shell runs a line in a namespace, as an admin would type it.
func shell(t *testing.T, n *lab.Namespace, line string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r, err := n.Run(ctx, lab.Command{Args: []string{"sh", "-ec", line}})
	must(t, err)
	if r.Code != 0 {
		t.Fatal(r)
	}
}

// fetch downloads a file with curl, within seconds.
func (f *farm) fetch(t *testing.T, v *vip, family configs.Family, mode client.Mode, seconds int) error {
	t.Helper()
	args := []string{"curl", "--silent", "--show-error", "--max-time", fmt.Sprint(seconds), "--no-ftp-skip-pasv-ip", "--output", "/dev/null"}
	switch mode {
	case client.PASV:
		args = append(args, "--disable-epsv")
	case client.PORT:
		args = append(args, "--ftp-port", "-", "--disable-eprt")
	case client.EPRT:
		args = append(args, "--ftp-port", "-")
	case client.EPSV:
	}
	r, err := f.Client.Run(t.Context(), lab.Command{Args: append(args, fmt.Sprintf("ftp://%s/file", v.at(family)))})
	must(t, err)
	if r.Code != 0 {
		return fmt.Errorf("IPv%d %s: %s", family, mode, r)
	}
	return nil
}

// cure runs a finding's remedy as it is printed: each line by a shell, on the host that it is for.
func (f *farm) cure(t *testing.T, fi finding) {
	t.Helper()
	host := f.Balancer
	for _, b := range f.Backends {
		if fi.On == b.Addrs.V4.String() || fi.On == b.Addrs.V6.String() {
			host = b.Namespace
		}
	}
	if len(fi.Remedy) == 0 {
		t.Fatalf("no remedy for %+v", fi)
	}
	for _, line := range fi.Remedy {
		if strings.HasSuffix(line, " helper") { // it stays in the foreground
			_, err := host.Start(f.Context(), lab.Command{Args: []string{"sh", "-c", line}})
			must(t, err)
			time.Sleep(time.Second)
			continue
		}
		shell(t, host, line)
	}
}

// TestDoctorHealthy wants no fault found if there is none.
func TestDoctorHealthy(t *testing.T) {
	lab.Require(t, lab.Curl)
	for _, arm := range arms {
		t.Run(arm.name, func(t *testing.T) {
			f := newFarm(t, arrangement{arm: arm.arm, snat: arm.snat})
			f.vips[0].put(t, "file", content("file", smallSize))
			for range 2 { // before any connection, and after some
				if list := faults(f.diagnosis(t)); len(list) > 0 {
					t.Errorf("doctor finds fault with a healthy host: %+v", list)
				}
				must(t, f.fetch(t, f.vips[0], configs.IPv4, client.PASV, 10))
			}
			if list := faults(f.diagnosis(t, "--client", f.ClientAddrs[0].V4.String())); len(list) > 0 {
				t.Errorf("doctor finds fault with the way to a client: %+v", list)
			}
			if out := f.exits(t, 0, "doctor").Stdout; !strings.Contains(out, "nothing stands in the way of FTP") {
				t.Errorf("it does not say so: %s", out)
			}
		})
	}
}

// stateless is a firewall that lets ports through, and knows nothing of connections.
const stateless = `table inet admin {
	chain forward {
		type filter hook forward priority filter; policy drop;
		meta l4proto { icmp, ipv6-icmp } accept
		tcp dport 21 accept
		tcp sport 21 accept
	}
}`

// mazy is a firewall with regular chains, sets and verdict maps, that lets web servers through.
const mazy = `table inet admin {
	set web { type inet_service; flags interval; elements = { 80, 443, 8000-8100 } }
	chain fromwan {
		ct state vmap { established : accept, related : accept, invalid : drop }
		meta l4proto { icmp, ipv6-icmp } accept
		tcp dport @web accept
		ip daddr . tcp dport { 10.2.0.99 . 21 } accept
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname vmap { "wan0" : jump fromwan, "lan0" : accept }
		counter reject with icmpx admin-prohibited
	}
}`

// broken is one way to break a host.
type broken struct {
	name      string
	damage    string // for a shell on the balancer
	want      []string
	breaks    bool // transfers fail before the cure
	family    configs.Family
	mode      client.Mode
	size      int
	scheduler string
}

func brokenHosts() []broken {
	nft := func(text string) string { return "nft -f - <<'E'\n" + text + "\nE" }
	noAdmin := "nft delete table inet admin\n"
	return []broken{
		{name: "IPv4 forwarding", damage: "sysctl -qw net.ipv4.ip_forward=0", want: []string{"forwarding-off-4"}, breaks: true},
		{name: "IPv4 forwarding of a link", damage: "sysctl -qw net.ipv4.conf.lan0.forwarding=0", want: []string{"forwarding-off-4"}, breaks: true},
		{
			name: "IPv6 forwarding", damage: "sysctl -qw net.ipv6.conf.all.forwarding=0", want: []string{"forwarding-off-6"},
			breaks: true, family: configs.IPv6, mode: client.EPSV,
		},
		{
			name: "drops control", damage: noAdmin + nft(strings.ReplaceAll(lab.AdminFirewall, "tcp dport 21 ct state new accept", "")),
			want: []string{"firewall-control"}, breaks: true,
		},
		{name: "maze drops control", damage: noAdmin + nft(mazy), want: []string{"firewall-control"}, breaks: true},
		{name: "drops passive data", damage: noAdmin + nft(stateless), want: []string{"firewall-related"}, breaks: true},
		{name: "drops active data", damage: noAdmin + nft(stateless), want: []string{"firewall-related"}, breaks: true, mode: client.PORT},
		{
			name: "iptables", damage: "for i in iptables-nft ip6tables-nft; do $i -P FORWARD DROP; $i -A FORWARD -p tcp --dport 22 -j ACCEPT; done",
			want: []string{"firewall-control", "firewall-related"}, breaks: true,
		},
		{
			name: "drops health checks", damage: nft("table inet out {\nchain o { type filter hook output priority 0; policy drop; oif lo accept; }\n}"),
			want: []string{"firewall-health", "firewall-neighbours"},
		},
		{
			name: "kernel's helper", damage: nft(`table inet other {
				ct helper h { type "ftp" protocol tcp; }
				chain p { type filter hook prerouting priority -190; tcp dport { 21, 2121 } ct helper set "h"; }
			}`), want: []string{"other-helper"},
		},
		{
			name: "kernel's helper by iptables", damage: "iptables-nft -t raw -A PREROUTING -p tcp --dport 21 -j CT --helper ftp",
			want: []string{"other-helper"},
		},
		{
			name: "untracked", damage: nft("table ip other {\nchain p { type filter hook prerouting priority raw; tcp dport 21 notrack; }\n}"),
			want: []string{"untracked"}, breaks: true,
		},
		{
			name: "redirected", damage: nft("table ip other {\nchain p { type nat hook prerouting priority dstnat - 5; tcp dport 21 redirect to :2121; }\n}"),
			want: []string{"other-nat"}, breaks: true,
		},
		{
			name: "translated by iptables", damage: "iptables-nft -t nat -A PREROUTING -d 192.0.2.10 -p tcp --dport 21 -j DNAT --to-destination 10.2.0.99",
			want: []string{"other-nat"},
		},
		{name: "table flushed", damage: "nft flush ruleset", want: []string{"table-missing"}, breaks: true},
		{
			name: "table changed", damage: "nft flush map inet ftpvip vips4", want: []string{"table-differs"}, breaks: true,
		},
		{
			name: "no way to the backends", damage: "ip route add unreachable 10.2.0.11 && ip route add unreachable 10.2.0.12",
			want: []string{"backend-no-route"}, breaks: true,
		},
		{
			// The client's backend answers by lan0, as ever, but the way to it leads through another link.
			name: "strict rp_filter", damage: "ip link add alt0 type veth peer name alt0 netns backend1 && ip link set alt0 up && " +
				"ip -n backend1 link set alt0 up && ip route add 10.2.0.11 dev alt0 && sysctl -qw net.ipv4.conf.lan0.rp_filter=1",
			want: []string{"rp-filter"}, breaks: true,
		},
		{
			name: "MTU", damage: "ip link set wan0 mtu 1400 && " + nft("table inet out {\nchain o { type filter hook output priority 0; icmp type destination-unreachable drop; icmpv6 type packet-too-big drop; }\n}"),
			want: []string{"mtu"}, breaks: true, size: 1_000_000,
		},
		{
			name: "ICMP errors dropped", damage: nft("table inet f {\nchain f { type filter hook forward priority -5; meta l4proto icmp drop; }\n}"),
			want: []string{"firewall-icmp"},
		},
		{name: "no accounting", damage: "sysctl -qw net.netfilter.nf_conntrack_acct=0", want: []string{"no-accounting"}},
		{name: "loose TCP", damage: "sysctl -qw net.netfilter.nf_conntrack_tcp_loose=1", want: []string{"tcp-loose"}, scheduler: "random"},
	}
}

// TestDoctorCures breaks hosts, one way each, and fixes them with the commands that doctor prints.
func TestDoctorCures(t *testing.T) {
	lab.Require(t, lab.Curl)
	for _, b := range brokenHosts() {
		t.Run(b.name, func(t *testing.T) {
			f := newFarm(t, arrangement{scheduler: b.scheduler})
			if b.family == 0 {
				b.family = configs.IPv4
			}
			if b.mode == "" {
				b.mode = client.PASV
			}
			f.vips[0].put(t, "file", content("file", max(b.size, smallSize)))
			must(t, f.fetch(t, f.vips[0], b.family, b.mode, 10))
			shell(t, f.Balancer, b.damage)
			if b.breaks && f.fetch(t, f.vips[0], b.family, b.mode, 3) == nil {
				t.Fatal("nothing broke")
			}
			f.fix(t, b.want...)
		})
	}
}

// fix wants doctor to find faults of these kinds, runs its remedies, and wants them gone.
func (f *farm) fix(t *testing.T, want ...string) {
	t.Helper()
	f.treat(t, want)
	for _, fi := range f.diagnosis(t) {
		if slices.Contains(want, fi.ID) || fi.Severity != "note" {
			t.Errorf("after the cure: %+v", fi)
		}
	}
	f.works(t)
}

// treat finds faults of these kinds, and no others, and runs their remedies.
func (f *farm) treat(t *testing.T, want []string) {
	t.Helper()
	found := f.diagnosis(t)
	for _, id := range want {
		i := slices.IndexFunc(found, func(f finding) bool { return f.ID == id })
		if i < 0 {
			t.Fatalf("no finding %s in %+v", id, found)
		}
	}
	for _, fi := range found {
		if slices.Contains(want, fi.ID) {
			t.Logf("%s: %s\nwhy: %s\nfix: %s", fi.ID, fi.What, fi.Why, strings.Join(fi.Remedy, "\n      "))
			f.cure(t, fi)
		} else if fi.Severity != "note" {
			t.Errorf("another finding: %+v", fi)
		}
	}
}

// works transfers in every mode, in both families.
func (f *farm) works(t *testing.T) {
	t.Helper()
	for _, family := range configs.Families {
		for _, mode := range client.Modes(family) {
			if err := f.fetch(t, f.vips[0], family, mode, 20); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestDoctorHelperDown stops the helper.
func TestDoctorHelperDown(t *testing.T) {
	lab.Require(t, lab.Curl)
	f := newFarm(t, arrangement{})
	f.vips[0].put(t, "file", content("file", smallSize))
	_, err := f.helper.Stop(t.Context())
	must(t, err)
	if f.fetch(t, f.vips[0], configs.IPv4, client.PASV, 3) == nil {
		t.Fatal("nothing broke")
	}
	f.fix(t, "helper-down")
}

// TestDoctorVIPNotHere takes a VIP that lies in a network of the balancer off it.
func TestDoctorVIPNotHere(t *testing.T) {
	lab.Require(t, lab.Curl)
	f := newFarm(t, arrangement{})
	v := f.vips[0]
	v.put(t, "file", content("file", smallSize))
	v.VIP.V4, v.VIP.V6 = netip.MustParseAddr("198.51.100.200"), netip.MustParseAddr("2001:db8:1::200")
	must(t, f.ftpvip.Configure(f.config()))
	f.do(t, "apply")
	must(t, f.helper.Signal(syscall.SIGHUP))
	shell(t, f.Client, "nft delete table inet client") // it knows the lab's own VIPs only
	for _, family := range configs.Families {
		if f.fetch(t, v, family, client.EPSV, 3) == nil {
			t.Fatal("nothing broke")
		}
	}
	f.fix(t, "vip-not-local")
}

// TestDoctorBypass has backends answer clients by another router.
func TestDoctorBypass(t *testing.T) {
	lab.Require(t, lab.Curl)
	f := newFarm(t, arrangement{arm: lab.OneArm}) // without snat
	v := f.vips[0]
	v.put(t, "file", content("file", smallSize))
	for _, family := range configs.Families {
		p, err := f.Client.Start(t.Context(), lab.Command{
			Args: []string{"curl", "--silent", "--max-time", "30", fmt.Sprintf("ftp://%s/file", v.at(family))},
		})
		must(t, err)
		t.Cleanup(func() { p.Kill() })
	}
	time.Sleep(500 * time.Millisecond)
	f.treat(t, []string{"replies-bypass"})
	f.works(t)
	if list := faults(f.diagnosis(t)); len(list) > 0 {
		t.Errorf("after the cure: %+v", list)
	}
}
