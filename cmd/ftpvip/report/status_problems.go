package report

import (
	"fmt"
	"strings"

	"ftpvip/configs/inforce"
	"ftpvip/configs/terminal"
	"ftpvip/rules"
)

// Judge lists what is wrong. applied is what is in force, nil if that is not known; id is that of the configuration that the status
// is about.
func (s *Status) Judge(applied *inforce.Applied, id string) {
	problem := func(format string, args ...any) { s.Problems = append(s.Problems, fmt.Sprintf(format, args...)) }
	inForce := applied != nil && applied.ID() == id
	switch {
	case s.Table == tableMissing && applied != nil:
		problem("table inet %s is MISSING, somebody removed it: clients reach no server; run `ftpvip apply`", rules.TableName)
	case s.Table == tableMissing:
		problem("table inet %s is MISSING, nothing is applied: clients reach no server; run `ftpvip apply`", rules.TableName)
	case s.Table == tableDiffers && inForce:
		problem("table inet %s DIFFERS from what was applied in %d places, somebody changed it: see `ftpvip diff`, mend it with `ftpvip apply`",
			rules.TableName, len(s.Changes))
	}
	s.judgeHelper(applied, problem)
	for i := range s.VIPs {
		for _, sv := range s.VIPs[i].Serving {
			if sv.Members == 0 {
				problem("VIP %s has no member for IPv%d: clients are refused; see why below", s.VIPs[i].Name, sv.Family)
			}
		}
	}
	soon := s.LastRound.IsZero() && applied != nil && s.at.Sub(applied.At) <= s.expected // comes the first one
	if s.RoundLate && !soon {
		problem("nobody checks the servers any more: start ftpvip-health.timer or ftpvip-health-watch.service, or run `ftpvip health`")
	}
	if s.Unsaved {
		problem("the state directory cannot be written, full or read-only: health state is in memory only, decisions of admins cannot be " +
			"recorded; make room or make it writable")
	}
}

// judgeHelper lists what is wrong with the helper. A farm without FTP has none.
func (s *Status) judgeHelper(applied *inforce.Applied, problem func(string, ...any)) {
	ftp := false
	for i := range s.VIPs {
		ftp = ftp || s.VIPs[i].Application == "ftp-control"
	}
	h := &s.Helper
	switch {
	case !ftp:
	case !h.Listening:
		problem("the helper is %s", h)
	case h.Silent != "":
		problem("the helper is DEAF: it has its queues and does not answer (%s); log-ins hang; run `systemctl restart ftpvip-helper`", h.Silent)
	case h.Live != nil && h.Live.Config != "" && applied != nil && h.Live.Config != applied.ID():
		problem("the helper runs another configuration (%s) than what is applied (%s): run `systemctl reload ftpvip-helper`",
			h.Live.Config, applied.ID())
	}
}

// AddProblem adds what doctor found.
func (s *Status) AddProblem(what, id string) {
	s.Problems = append(s.Problems, fmt.Sprintf("%s: see `ftpvip doctor` (%s)", what, id))
}

// writeProblems writes what is wrong before anything else.
func (s *Status) writeProblems(b *strings.Builder) {
	for _, p := range s.Problems {
		fmt.Fprintf(b, "PROBLEM: %s\n", terminal.Line(p))
	}
	if len(s.Problems) > 0 {
		b.WriteByte('\n')
	}
}
