package health

import (
	"bytes"
	"fmt"

	"ftpvip/configs/statedir"
	"ftpvip/health/judge"
)

// WriteTextfile writes the report for the textfile collector of Prometheus's node_exporter, which reads *.prom of a
// folder: at every moment there is a whole file.
func WriteTextfile(path string, r Report) error {
	if err := statedir.Replace(path, r.metrics(), 0o644); err != nil {
		return fmt.Errorf("writing the Prometheus textfile: %w", err)
	}
	return nil
}

// metrics is the report in Prometheus's text format. Names of pools and backends need no quoting: they are words.
func (r Report) metrics() []byte {
	var b bytes.Buffer
	family := func(name, help string, rows func(row func(labels string, v any))) {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
		rows(func(labels string, v any) { fmt.Fprintf(&b, "%s%s %v\n", name, labels, v) })
	}
	backends := func(value func(BackendReport) any) func(row func(string, any)) {
		return func(row func(string, any)) {
			for _, p := range r.Pools {
				for _, bk := range p.Backends {
					row(fmt.Sprintf("{pool=%q,backend=%q}", p.Name, bk.Name), value(bk))
				}
			}
		}
	}
	family("ftpvip_health_round_timestamp_seconds", "When the last round of health checks began.",
		func(row func(string, any)) { row("", fmt.Sprintf("%.3f", float64(r.Time.UnixMilli())/1000)) })
	family("ftpvip_health_round_duration_seconds", "How long it took.",
		func(row func(string, any)) { row("", fmt.Sprintf("%.6f", r.DurationMS/1000)) })
	family("ftpvip_health_backend_up", "1: judged up, 0: judged down, -1: not judged yet.", backends(func(b BackendReport) any {
		return map[judge.Status]int{judge.Up: 1, judge.Down: 0, judge.Unknown: -1}[b.Status]
	}))
	family("ftpvip_health_backend_member", "Whether the backend may hold slots.", backends(func(b BackendReport) any { return digit(b.Member) }))
	family("ftpvip_health_backend_held", "Whether the backend is held down because it flaps.", backends(func(b BackendReport) any { return digit(!b.Held.IsZero()) }))
	family("ftpvip_health_check_success", "Whether the last check succeeded.", backends(func(b BackendReport) any { return digit(b.OK) }))
	family("ftpvip_health_check_duration_seconds", "How long the last check took.", backends(func(b BackendReport) any { return fmt.Sprintf("%.6f", b.LatencyMS/1000) }))
	family("ftpvip_health_pool_members", "Backends that may hold slots.", func(row func(string, any)) {
		for _, p := range r.Pools {
			row(fmt.Sprintf("{pool=%q}", p.Name), p.Members)
		}
	})
	return b.Bytes()
}

func digit(b bool) int {
	if b {
		return 1
	}
	return 0
}
