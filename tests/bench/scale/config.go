package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// maxVIPs is how many VIPs the address plan below has room for.
const maxVIPs = 10000

// backendsPerVIP is the size of every pool.
const backendsPerVIP = 10

// vipAt and backendAt are the address plan: VIPs in 198.18.0.0/15 (RFC 2544), backends in 10.0.0.0/8.
func vipAt(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}) }

func backendAt(vip, i int) netip.Addr {
	n := vip*backendsPerVIP + i
	return netip.AddrFrom4([4]byte{10, byte(100 + n>>16), byte(n >> 8), byte(n)})
}

// endpoint is a VIP of the traffic's lab, put before the others, with its one backend.
type endpoint struct{ vip, backend netip.Addr }

// config is an ftpvip.yaml with n VIPs. Where a real endpoint is given, it is the last of them.
func config(n int, real *endpoint, more string) string {
	var b strings.Builder
	if more != "" { // offload wants to know the lab's interfaces
		b.WriteString("offload_devices: [lan0, wan0]\n")
	}
	b.WriteString("vips:\n")
	for i := range n {
		addr := vipAt(i)
		if real != nil && i == n-1 {
			addr = real.vip
		}
		fmt.Fprintf(&b, "  - {name: v%d, addresses: [%s], port: 21, pool: p%d%s}\n", i, addr, i, more)
	}
	b.WriteString("pools:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - name: p%d\n    health: {check: none}\n    backends:\n", i)
		if real != nil && i == n-1 {
			fmt.Fprintf(&b, "      - {name: b0, addresses: [%s]}\n", real.backend)
			continue
		}
		for j := range backendsPerVIP {
			fmt.Fprintf(&b, "      - {name: b%d, addresses: [%s]}\n", j, backendAt(i, j))
		}
	}
	return b.String()
}

// nftlbConfig is the same for nftlb, which calls a VIP a farm.
func nftlbConfig(n int) ([]byte, error) {
	type backend struct {
		Name  string `json:"name"`
		Addr  string `json:"ip-addr"`
		Port  string `json:"port"`
		State string `json:"state"`
	}
	type farm struct {
		Name      string    `json:"name"`
		Family    string    `json:"family"`
		Addr      string    `json:"virtual-addr"`
		Ports     string    `json:"virtual-ports"`
		Mode      string    `json:"mode"`
		Protocol  string    `json:"protocol"`
		Scheduler string    `json:"scheduler"`
		Param     string    `json:"sched-param"`
		State     string    `json:"state"`
		Backends  []backend `json:"backends"`
	}
	var farms []farm
	for i := range n {
		f := farm{
			Name: fmt.Sprintf("v%d", i), Family: "ipv4", Addr: vipAt(i).String(), Ports: "21", Mode: "dnat",
			Protocol: "tcp", Scheduler: "hash", Param: "srcip", State: "up",
		}
		for j := range backendsPerVIP {
			f.Backends = append(f.Backends, backend{fmt.Sprintf("b%d", j), backendAt(i, j).String(), "21", "up"})
		}
		farms = append(farms, f)
	}
	return json.Marshal(map[string]any{"farms": farms})
}
