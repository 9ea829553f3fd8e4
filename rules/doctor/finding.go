package doctor

import (
	"cmp"
	"slices"
	"strings"
)

// Severity is how bad a finding is.
type Severity string

// The severities. Notes are worth knowing and no fault: they do not change the exit code.
const (
	Error   Severity = "error"   // transfers break
	Warning Severity = "warning" // some break, or will
	Note    Severity = "note"
)

// Finding is one thing that is wrong.
type Finding struct {
	ID       string   `json:"id"` // stable, for scripts
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Why      string   `json:"why"`              // why it matters to FTP
	Remedy   []string `json:"remedy,omitempty"` // commands for a shell, one a line
	On       string   `json:"on,omitempty"`     // the host that the commands are for; "": this one
	Keep     string   `json:"keep,omitempty"`   // what makes it last over a reboot
}

// Doubts reports whether a finding says that the host's rules could not be followed to their end.
func (f Finding) Doubts() bool {
	return strings.HasSuffix(f.ID, "-unsure") || slices.Contains([]string{"firewall-unread", "no-net-admin", "legacy-iptables"}, f.ID)
}

// Counts reports whether a finding is a fault.
func (f Finding) Counts() bool { return f.Severity != Note }

// where files of sysctls go. The package has a file 60-ftpvip.conf, which one of that name in /etc would put out of force.
const keepSysctl = "the same setting in /etc/sysctl.d/90-ftp.conf"

// Judge lists all findings, the worst first.
func Judge(f *Facts) []Finding {
	var list []Finding
	for _, judge := range []func(*Facts) []Finding{
		judgePrivilege, judgeState, judgeTable, judgeSaved, judgeHelper, judgeTLS, judgeForwarding, judgeVIPs, judgeRoutes, judgeReplies, judgeRPFilter,
		judgeFirewall, judgeNAT, judgeMarks, judgeConntrack, judgeKernelHelper, judgeMTU, judgeFeatures, judgeLegacy,
	} {
		list = append(list, judge(f)...)
	}
	rank := map[Severity]int{Error: 0, Warning: 1, Note: 2}
	slices.SortStableFunc(list, func(a, b Finding) int { return cmp.Compare(rank[a.Severity], rank[b.Severity]) })
	return list
}
