package health

import (
	"bytes"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"ftpvip/configs/statedir"
	"ftpvip/health/judge"
)

// WriteTextfile writes the report for the textfile collector of Prometheus's node_exporter, which reads *.prom of a
// folder: at every moment there is a whole file. The folder may belong to others than who runs us: prometheus.WriteToTextfile
// changes the mode of its file by name, and would follow a link that they put in its place.
func WriteTextfile(path string, r Report) error {
	families, err := r.metrics().Gather()
	if err != nil {
		return fmt.Errorf("gathering metrics for the Prometheus textfile: %w", err)
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			return fmt.Errorf("encoding the Prometheus textfile: %w", err)
		}
	}
	if err := statedir.Replace(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the Prometheus textfile: %w", err)
	}
	return nil
}

// metrics is the report as gauges.
func (r Report) metrics() prometheus.Gatherer {
	registry := prometheus.NewRegistry()
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ftpvip_health_" + name, Help: help}, labels)
		registry.MustRegister(v)
		return v
	}
	backends := func(name, help string, value func(BackendReport) float64) {
		v := gauge(name, help, "pool", "backend")
		for _, p := range r.Pools {
			for _, b := range p.Backends {
				v.WithLabelValues(p.Name, b.Name).Set(value(b))
			}
		}
	}
	gauge("round_timestamp_seconds", "When the last round of health checks began.").WithLabelValues().Set(float64(r.Time.UnixMilli()) / 1000)
	gauge("round_duration_seconds", "How long it took.").WithLabelValues().Set(r.DurationMS / 1000)
	backends("backend_up", "1: judged up, 0: judged down, -1: not judged yet.", func(b BackendReport) float64 {
		return map[judge.Status]float64{judge.Up: 1, judge.Down: 0, judge.Unknown: -1}[b.Status]
	})
	backends("backend_member", "Whether the backend may hold slots.", func(b BackendReport) float64 { return digit(b.Member) })
	backends("backend_held", "Whether the backend is held down because it flaps.", func(b BackendReport) float64 { return digit(!b.Held.IsZero()) })
	backends("check_success", "Whether the last check succeeded.", func(b BackendReport) float64 { return digit(b.OK) })
	backends("check_duration_seconds", "How long the last check took.", func(b BackendReport) float64 { return b.LatencyMS / 1000 })
	gauge("config_valid", "1: the configuration file can be used; 0: checks follow what was applied.").WithLabelValues().Set(digit(r.ConfigError == ""))
	troubles := gauge("trouble", "What `ftpvip doctor` finds on this host that stands in the way of FTP, by its id.", "id")
	for _, t := range r.Troubles {
		troubles.WithLabelValues(t.ID).Set(1)
	}
	if r.Table != nil {
		gauge("table_whole", "1: our table in the kernel is as it was applied, or nothing was applied; 0: somebody removed or changed it.").
			WithLabelValues().Set(digit(r.Table.Whole()))
		gauge("table_restored", "Whether the last round restored it.").WithLabelValues().Set(digit(r.Table.Restored))
	}
	members := gauge("pool_members", "Backends that may hold slots.", "pool")
	for _, p := range r.Pools {
		members.WithLabelValues(p.Name).Set(float64(p.Members))
	}
	return registry
}

func digit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
