package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ftpvip/configs"
)

// How full conntrack's table may be, in percent.
const (
	conntrackHigh = 80
	conntrackFull = 95
)

func judgeConntrack(f *Facts) []Finding {
	var list []Finding
	count, _ := strconv.Atoi(f.sysctl("net/netfilter/nf_conntrack_count"))
	limit, _ := strconv.Atoi(f.sysctl("net/netfilter/nf_conntrack_max"))
	if limit > 0 && count*100 >= limit*conntrackHigh {
		fi := Finding{
			ID: "conntrack-full", Severity: Warning,
			What:   fmt.Sprintf("conntrack's table is %d %% full: %d of %d", count*100/limit, count, limit),
			Why:    "when it is full, new control and data connections are dropped",
			Remedy: []string{sysctlCommand("net/netfilter/nf_conntrack_max", strconv.Itoa(2*max(limit, count)))},
			Keep:   keepSysctl,
		}
		if count*100 >= limit*conntrackFull {
			fi.Severity = Error
		}
		list = append(list, fi)
	}
	if room, _ := strconv.Atoi(f.sysctl("net/netfilter/nf_conntrack_expect_max")); room > 0 && f.Config.Helper.MaxData > room {
		list = append(list, Finding{
			ID: "expect-max", Severity: Note,
			What: fmt.Sprintf("the kernel takes %d announced data connections (nf_conntrack_expect_max), and helper.max_data is %d",
				room, f.Config.Helper.MaxData),
			Why:    "the helper follows the lower number",
			Remedy: []string{sysctlCommand("net/netfilter/nf_conntrack_expect_max", strconv.Itoa(f.Config.Helper.MaxData))},
			Keep:   keepSysctl,
		})
	}
	if f.sysctl("net/netfilter/nf_conntrack_acct") == "0" {
		list = append(list, Finding{
			ID: "no-accounting", Severity: Note,
			What:   "conntrack does not count bytes",
			Why:    "the helper's log and `ftpvip sessions` cannot say how much was transferred",
			Remedy: []string{sysctlCommand("net/netfilter/nf_conntrack_acct", "1")},
			Keep:   keepSysctl,
		})
	}
	list = append(list, judgeTimeouts(f)...)
	moves := func(p configs.Pool) bool { return p.Scheduler != configs.SourceHash }
	if f.sysctl("net/netfilter/nf_conntrack_tcp_loose") == "1" && slices.ContainsFunc(f.Config.Pools, moves) {
		list = append(list, Finding{
			ID: "tcp-loose", Severity: Note,
			What: "conntrack takes up TCP connections in their middle (nf_conntrack_tcp_loose=1, the kernel's default)",
			Why: "a session whose entry was lost gets a slot as if it were new. With source-hash that is the same backend; with another " +
				"scheduler, which a pool here has, it may be one that knows nothing of it. With 0 such packets are invalid",
			Remedy: []string{sysctlCommand("net/netfilter/nf_conntrack_tcp_loose", "0")},
			Keep:   keepSysctl,
		})
	}
	return list
}

// shortTimeout is what a conntrack timeout must have so that sessions of people who think, and transfers that stall, go on.
const shortTimeout = 900

// judgeTimeouts finds connections that conntrack forgets while they are needed.
func judgeTimeouts(f *Facts) []Finding {
	const path = "net/netfilter/nf_conntrack_tcp_timeout_established"
	seconds, err := strconv.Atoi(f.sysctl(path))
	if err != nil || seconds >= shortTimeout {
		return nil
	}
	return []Finding{{
		ID: "short-timeout", Severity: Warning,
		What: fmt.Sprintf("conntrack forgets connections that are silent for %d seconds (nf_conntrack_tcp_timeout_established)", seconds),
		Why: "sessions that wait for longer between two commands, and transfers that stall for longer, end; during a transfer ftpvip keeps the " +
			"control connection alive",
		Remedy: []string{sysctlCommand(path, "86400")},
		Keep:   keepSysctl,
	}}
}

// judgeKernelHelper finds the automatic assignment of the kernel's helper, which kernels before 6.0 have.
func judgeKernelHelper(f *Facts) []Finding {
	if !f.on("net/netfilter/nf_conntrack_helper") {
		return nil
	}
	fi := Finding{
		ID: "auto-helper", Severity: Note,
		What:   "the kernel assigns its own conntrack helpers to known ports by itself (nf_conntrack_helper=1)",
		Why:    "with nf_conntrack_ftp loaded, its helper would sit on port 21 before ours and rewrite after us",
		Remedy: []string{sysctlCommand("net/netfilter/nf_conntrack_helper", "0")},
		Keep:   keepSysctl,
	}
	on21 := slices.ContainsFunc(f.Config.VIPs, func(v configs.VIP) bool { return v.Application == configs.FTPControl && v.Port == 21 })
	if f.Modules["nf_conntrack_ftp"] && on21 {
		fi.Severity = Error
		fi.What = "nf_conntrack_ftp is loaded and assigned to port 21 by itself (nf_conntrack_helper=1)"
		fi.Why = "a control connection has one helper: the kernel's takes the place of ours, and rewrites replies by its own rules"
	}
	return []Finding{fi}
}

func judgeFeatures(f *Facts) []Finding {
	if f.NoAdmin {
		return nil
	}
	var list []Finding
	if !f.Kernel.Queue {
		list = append(list, Finding{
			ID: "no-nft-queue", Severity: Note,
			What: "this kernel has no nft queue statement (module nft_queue); the xtables target NFQUEUE serves instead",
			Why:  "transfers work the same; `nft list ruleset` shows the rule well only where iptables is installed, and its text cannot be loaded again",
		})
	}
	if !f.Kernel.CTHelper {
		fi := Finding{
			ID: "no-cthelper", Severity: Note,
			What: "this kernel has no nfnetlink_cthelper; its SANE helper carries the control connections",
			Why:  "transfers work the same; control connections show helper=sane in `conntrack -L`",
		}
		if f.Config.Helper.Carrier == configs.CarrierCTHelper {
			fi.Severity = Error
			fi.What = "this kernel has no nfnetlink_cthelper, which helper.carrier: cthelper asks for"
			fi.Why = "apply fails, and without a carrier no data connection can be announced"
			fi.Remedy = []string{"modprobe nfnetlink_cthelper"}
			fi.Keep = "nfnetlink_cthelper in /etc/modules-load.d/ftp.conf, or helper.carrier: auto"
		}
		list = append(list, fi)
	}
	if !f.Kernel.Flowtables && f.Config.Offloads() {
		list = append(list, Finding{
			ID: "no-flowtables", Severity: Note,
			What: "this kernel has no flowtables (modules nf_flow_table_inet and nft_flow_offload), which offload: flowtable asks for",
			Why:  "transfers work the same, and every packet of theirs goes through all chains of this host",
		})
	}
	return append(list, judgeLimits(f)...)
}

// judgeLimits finds limits that the kernel cannot keep: then apply fails as a whole.
func judgeLimits(f *Facts) []Finding {
	var list []Finding
	add := func(has bool, module, key string, wants func(l configs.Limits) bool) {
		if has || !slices.ContainsFunc(f.Config.VIPs, func(v configs.VIP) bool { return wants(v.Limits) }) {
			return
		}
		list = append(list, Finding{
			ID: "no-" + module, Severity: Error,
			What:   fmt.Sprintf("this kernel lacks %s, which %s needs", module, key),
			Why:    "apply fails, and whatever was applied before stays",
			Remedy: []string{"modprobe " + module}, Keep: "a kernel that has it; or delete the key",
		})
	}
	add(f.Kernel.Connlimit, "nft_connlimit", "limits.connections_per_client or connections_per_backend", func(l configs.Limits) bool {
		return l.PerClient > 0 || l.PerBackend > 0
	})
	add(f.Kernel.Limit, "nft_limit", "limits.new_per_second_per_client", func(l configs.Limits) bool { return l.NewPerSecond > 0 })
	return list
}

func judgeLegacy(f *Facts) []Finding {
	if len(f.Legacy) == 0 {
		return nil
	}
	return []Finding{{
		ID: "legacy-iptables", Severity: Note,
		What: "iptables-legacy has tables here (" + strings.Join(f.Legacy, ", ") + "), whose rules doctor does not see",
		Why:  "they may drop FTP or translate the VIPs, unseen: look with iptables-legacy-save and ip6tables-legacy-save",
	}}
}
