package lab

import (
	"fmt"
	"strings"
	"time"

	"ftpvip/configs"
)

// Farm is one VIP with its pool, for Config.
type Farm struct {
	Name      string
	VIP       configs.Addrs
	Backends  []*Backend
	Weights   []int  // one for each backend; none: the default
	Scheduler string // "": the default
	SNAT      string // as the file has it: none, masquerade, or addresses in brackets; "": the default
	Rise      int    // 0: the default
	Fall      int
	Timeout   time.Duration
	Health    []string // further keys of health, a line each; the check is among them unless it is ftp-banner
	Keys      []string // more keys of the VIP, as the file has them
	PoolKeys  []string // and of the pool
}

// Config writes an ftpvip.yaml. An empty carrier leaves the choice to ftpvip.
func Config(carrier configs.Carrier, farms ...Farm) string {
	var w strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&w, format+"\n", args...) }
	p("vips:")
	for _, f := range farms {
		p("  - name: %s", f.Name)
		p("    addresses: %s", YAMLAddrs(f.VIP))
		p("    port: 21")
		p("    application: ftp-control")
		p("    pool: %s", f.Name)
		for _, key := range f.Keys {
			p("    %s", key)
		}
	}
	p("pools:")
	for _, f := range farms {
		p("  - name: %s", f.Name)
		if f.Scheduler != "" {
			p("    scheduler: %s", f.Scheduler)
		}
		if f.SNAT != "" {
			p("    snat: %s", f.SNAT)
		}
		for _, key := range f.PoolKeys {
			p("    %s", key)
		}
		p("    backends:")
		for i, b := range f.Backends {
			p("      - name: %s", b.Name)
			p("        addresses: %s", YAMLAddrs(b.Addrs))
			if f.Weights != nil {
				p("        weight: %d", f.Weights[i])
			}
		}
		p("    health:")
		if !strings.Contains(strings.Join(f.Health, "\n"), "check:") {
			p("      check: ftp-banner")
		}
		for _, line := range f.Health {
			p("      %s", line)
		}
		if f.Timeout != 0 {
			p("      timeout: %s", f.Timeout)
		}
		if f.Rise != 0 {
			p("      rise: %d", f.Rise)
		}
		if f.Fall != 0 {
			p("      fall: %d", f.Fall)
		}
	}
	if carrier != "" {
		p("helper:")
		p("  carrier: %s", carrier)
	}
	return w.String()
}

// YAMLAddrs is a list of addresses as the configuration has it, also for Farm.SNAT.
func YAMLAddrs(a configs.Addrs) string {
	var list []string
	for _, addr := range a.All() {
		list = append(list, fmt.Sprintf("%q", addr))
	}
	return "[" + strings.Join(list, ", ") + "]"
}
