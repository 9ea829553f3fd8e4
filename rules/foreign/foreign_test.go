package foreign

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/rules"
	"ftpvip/rules/walk"
	"ftpvip/tests/lab"
)

// foreignCases are rules as nft and iptables-nft write them, and what becomes of packets in the chain that they fill.
var foreignCases = []struct {
	name           string
	rules          string // of an nft chain with policy drop; or arguments of iptables-nft -A FORWARD, one rule a line
	iptables       bool
	control, data  walk.Answer // a new control connection, a related data connection
	sets, helperOf string
}{
	{name: "state", rules: "ct state established,related accept", control: walk.Dropped, data: walk.Passed},
	{name: "state by map", rules: "ct state vmap { established : accept, related : accept, new : continue }", control: walk.Dropped, data: walk.Passed},
	{name: "port", rules: "tcp dport 21 accept", control: walk.Passed, data: walk.Dropped},
	{name: "ports", rules: "tcp dport { 20-25, 80 } accept", control: walk.Passed, data: walk.Dropped},
	{name: "range", rules: "tcp dport 1024-65535 accept", control: walk.Dropped, data: walk.Passed},
	{name: "comparison", rules: "tcp dport >= 1024 accept", control: walk.Dropped, data: walk.Passed},
	{name: "not", rules: "tcp dport != { 21, 22 } accept", control: walk.Dropped, data: walk.Passed},
	{name: "prefix", rules: "ip daddr 10.2.0.0/16 accept", control: walk.Passed, data: walk.Passed},
	{name: "prefix of bytes", rules: "ip daddr 10.0.0.0/8 ip saddr 198.51.0.0/16 accept", control: walk.Passed, data: walk.Passed},
	{name: "set of prefixes", sets: "set s { type ipv4_addr; flags interval; elements = { 10.2.0.0/24, 192.0.2.0/28 } }", rules: "ip daddr @s tcp dport 21 accept", control: walk.Passed, data: walk.Dropped},
	{name: "set of others", sets: "set s { type ipv4_addr; flags interval; elements = { 10.1.0.0/24, 10.3.0.0/24 } }", rules: "ip daddr @s accept", control: walk.Dropped, data: walk.Dropped},
	{name: "concatenation", rules: "ip daddr . tcp dport { 10.2.0.0/24 . 20-21 } accept", control: walk.Passed, data: walk.Dropped},
	{name: "links", rules: `iifname "wan*" oifname { "lan0", "lan1" } accept`, control: walk.Passed, data: walk.Passed},
	{name: "other links", rules: `iifname != "wan0" accept`, control: walk.Dropped, data: walk.Dropped},
	{name: "DNAT", rules: "ct status dnat accept", control: walk.Passed, data: walk.Passed},
	{name: "original", rules: "meta l4proto tcp ct original ip daddr 192.0.2.10 ct original proto-dst 21 accept", control: walk.Passed, data: walk.Dropped},
	{name: "fib", rules: "fib daddr type local accept", control: walk.Dropped, data: walk.Dropped},
	{name: "reverse path", rules: "fib saddr . iif oif missing drop; accept", control: walk.Passed, data: walk.Passed},
	{name: "flags", rules: "tcp flags & (syn|ack) == syn accept", control: walk.Passed, data: walk.Passed},
	{name: "protocol", rules: "meta l4proto { udp, icmp } accept; meta nfproto ipv6 accept", control: walk.Dropped, data: walk.Dropped},
	{name: "mark", rules: "meta mark 1 accept", control: walk.CannotTell, data: walk.CannotTell},
	{name: "limit", rules: "tcp dport 21 limit rate 10/second accept", control: walk.CannotTell, data: walk.Dropped},
	{name: "counter and log", rules: `counter log prefix "x" tcp dport 21 accept`, control: walk.Passed, data: walk.Dropped},
	{name: "reject", rules: "tcp dport 21 reject with tcp reset; accept", control: walk.Dropped, data: walk.Passed},
	{name: "unless", rules: "ct state { established, related } accept; ct state invalid drop; ip saddr 203.0.113.0/24 drop; accept", control: walk.Passed, data: walk.Passed},
	{name: "iptables state", iptables: true, rules: "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", control: walk.Dropped, data: walk.Passed},
	{name: "iptables old state", iptables: true, rules: "-m state --state RELATED -j ACCEPT", control: walk.Dropped, data: walk.Passed},
	{name: "iptables not a state", iptables: true, rules: "-m conntrack ! --ctstate NEW -j ACCEPT", control: walk.Dropped, data: walk.Passed},
	{name: "iptables DNAT", iptables: true, rules: "-m conntrack --ctstate DNAT -j ACCEPT", control: walk.Passed, data: walk.Passed},
	{name: "iptables port", iptables: true, rules: "-p tcp -m tcp --dport 21 -j ACCEPT", control: walk.Passed, data: walk.Dropped},
	{name: "iptables SYN", iptables: true, rules: "-p tcp --syn -m comment --comment syn -j ACCEPT", control: walk.Passed, data: walk.Passed},
	{name: "iptables ports", iptables: true, rules: "-p tcp -m multiport --dports 20:22,80 -j ACCEPT", control: walk.Passed, data: walk.Dropped},
	{name: "iptables links", iptables: true, rules: "-i wan0 -o lan0 -s 198.51.100.0/24 -d 10.2.0.11 -j ACCEPT", control: walk.Passed, data: walk.Passed},
	{name: "iptables other links", iptables: true, rules: "! -i wan+ -j ACCEPT", control: walk.Dropped, data: walk.Dropped},
	{name: "iptables address type", iptables: true, rules: "-m addrtype ! --dst-type LOCAL -j ACCEPT", control: walk.Passed, data: walk.Passed},
	{name: "iptables mark", iptables: true, rules: "-m mark --mark 1 -j ACCEPT", control: walk.CannotTell, data: walk.CannotTell},
	{name: "iptables reject", iptables: true, rules: "-p tcp --dport 21 -j REJECT\n-j ACCEPT", control: walk.Dropped, data: walk.Passed},
	{name: "iptables UDP", iptables: true, rules: "-p udp --dport 21 -j ACCEPT\n-p icmp --icmp-type echo-request -j ACCEPT", control: walk.Dropped, data: walk.Dropped},
	{name: "iptables target that is not known", iptables: true, rules: "-j LOG\n-p tcp --dport 21 -j MARK --set-mark 1\n-p tcp --dport 21 -j ACCEPT", control: walk.Passed, data: walk.Dropped},
}

func TestMain(m *testing.M) { lab.Main(m) }

func TestRead(t *testing.T) {
	lab.Require(t, lab.Root, lab.NFT)
	for _, tc := range foreignCases {
		t.Run(tc.name, func(t *testing.T) {
			run := func(stdin string, args ...string) {
				t.Helper()
				cmd := exec.Command(args[0], args[1:]...)
				cmd.Stdin = strings.NewReader(stdin)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v: %v\n%s", args, err, out)
				}
			}
			run("", "nft", "flush", "ruleset")
			t.Cleanup(func() { run("", "nft", "flush", "ruleset") })
			if tc.iptables {
				run("", "iptables-nft", "-P", "FORWARD", "DROP")
				for line := range strings.Lines(tc.rules) {
					run("", append([]string{"iptables-nft", "-A", "FORWARD"}, strings.Fields(line)...)...)
				}
			} else {
				run("table inet other {\n"+tc.sets+"\nchain forward { type filter hook forward priority 0; policy drop; "+tc.rules+"\n}\n}", "nft", "-f", "-")
			}
			r, err := Read()
			if err != nil {
				t.Fatal(err)
			}
			chains := r.Chains(rules.TypeFilter, rules.HookForward, configs.IPv4)
			if len(chains) != 1 {
				t.Fatalf("%d chains", len(chains))
			}
			control := walk.Packet{
				Family: configs.IPv4, Proto: unix.IPPROTO_TCP, SYN: true, State: walk.StateNew,
				In: &walk.Link{Name: "wan0", Index: 2}, Out: &walk.Link{Name: "lan0", Index: 3}, DstNotLocal: true,
				Src: netip.MustParseAddrPort("198.51.100.11:40011"), Dst: netip.MustParseAddrPort("10.2.0.11:21"),
				OriginalDst: netip.MustParseAddrPort("192.0.2.10:21"), Status: walk.StatusDNAT, StatusKnown: walk.StatusDNAT,
			}
			data := control
			data.State, data.Dst, data.OriginalDst = walk.StateRelated, netip.MustParseAddrPort("10.2.0.11:50021"), netip.MustParseAddrPort("192.0.2.10:50021")
			for _, p := range []struct {
				name   string
				packet walk.Packet
				want   walk.Answer
			}{{"control", control, tc.control}, {"data", data, tc.data}} {
				if o := walk.Through(chains[0], &p.packet); o.Answer != p.want {
					t.Errorf("%s: answer %d, want %d; %s; rules %+v", p.name, o.Answer, p.want, o.Why, chains[0].Rules)
				}
			}
		})
	}
}

// FuzzDecodeExprs wants no bytes to break the decoder, or the walk through what it makes of them.
func FuzzDecodeExprs(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x24\x00\x01\x80\x09\x00\x01\x00meta\x00\x00\x00\x00\x14\x00\x02\x80\x08\x00\x02\x00\x00\x00\x00\x0f\x08\x00\x01\x00\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		exprs := decodeExprs(data)
		table := &walk.Table{Family: walk.INet, Name: "t"}
		c := &walk.Chain{Table: table, Name: "c", Base: &rules.Base{Type: rules.TypeFilter, Hook: rules.HookForward}, Rules: []walk.Rule{{Handle: 1, Exprs: exprs}}}
		table.Chains = []*walk.Chain{c}
		for _, family := range configs.Families {
			o := walk.Through(c, &walk.Packet{Family: family, Proto: unix.IPPROTO_TCP, State: walk.StateNew})
			if o.Answer == walk.CannotTell && o.Why == "" {
				t.Errorf("no reason: %+v", exprs)
			}
		}
	})
}
