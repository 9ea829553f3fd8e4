package metrics

import (
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"ftpvip/helper/live"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ftpvip_"+name, help, labels, nil)
}

// collector turns one snapshot into metrics.
type collector struct {
	figures func() live.Figures

	build, started                           *prometheus.Desc
	sessions, current, commands, rewrites    *prometheus.Desc
	expectations, awaited, data              *prometheus.Desc
	refusals, events                         *prometheus.Desc
	transfers, uncounted, bytes              *prometheus.Desc
	packets, unread, throttled               *prometheus.Desc
	queueWaiting, queuePackets, queueDropped *prometheus.Desc
	conntrack, conntrackMax, conntrackDrops  *prometheus.Desc
	verdicts                                 *prometheus.Desc
}

func newCollector(figures func() live.Figures) *collector {
	return &collector{
		figures:        figures,
		build:          desc("build_info", "Version of the helper; always 1.", "version", "go"),
		started:        desc("start_time_seconds", "When the helper started, in Unix time."),
		sessions:       desc("sessions_total", "Control connections seen."),
		current:        desc("sessions", "Control connections now."),
		commands:       desc("commands_total", "Command lines read.", "verb"),
		rewrites:       desc("rewrites_total", "Announcements of data connections that were rewritten.", "verb"),
		expectations:   desc("expectations_total", "Expectations asked of the kernel.", "outcome"),
		awaited:        desc("data_awaited", "Data connections that are announced and not yet open."),
		data:           desc("data_connections_total", "Announced data connections by what became of them.", "outcome"),
		refusals:       desc("refusals_total", "Commands and replies that were neutralised.", "reason"),
		events:         desc("events_total", "What happened on control connections.", "kind"),
		transfers:      desc("transfers_total", "Finished data connections.", "mode", "direction"),
		uncounted:      desc("transfers_uncounted_total", "Finished data connections whose bytes nobody counted.", "mode", "direction"),
		bytes:          desc("transfer_bytes_total", "Bytes of finished data connections, with IP and TCP headers.", "mode", "direction"),
		packets:        desc("packets_total", "Control packets handled."),
		unread:         desc("packets_unread_total", "Control packets that no session read.", "reason"),
		throttled:      desc("packets_throttled_total", "Control packets dropped because their client used more than its share of the helper."),
		queueWaiting:   desc("queue_waiting", "Packets without a verdict.", "queue"),
		queuePackets:   desc("queue_packets_total", "Packets that the kernel handed out.", "queue"),
		queueDropped:   desc("queue_dropped_total", "Packets that the kernel dropped before their verdict.", "queue", "reason"),
		conntrack:      desc("conntrack_entries", "Connections in the kernel's table, of the whole host."),
		conntrackMax:   desc("conntrack_limit", "How many it takes."),
		conntrackDrops: desc("conntrack_dropped_total", "Packets of new connections that found no room in it, and connections that made room."),
		verdicts:       desc("verdict_seconds", "Time from a packet's arrival to its verdict."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.build, c.started, c.sessions, c.current, c.commands, c.rewrites, c.expectations, c.awaited, c.data, c.refusals,
		c.events, c.transfers, c.uncounted, c.bytes, c.packets, c.unread, c.throttled, c.queueWaiting, c.queuePackets, c.queueDropped,
		c.conntrack, c.conntrackMax, c.conntrackDrops, c.verdicts,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	f := c.figures()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	each := func(d *prometheus.Desc, m map[string]uint64) {
		for label, v := range m {
			counter(d, v, label)
		}
	}
	gauge(c.build, 1, f.Version, runtime.Version())
	gauge(c.started, float64(f.Started.UnixNano())/1e9)
	counter(c.sessions, f.SessionsTotal)
	gauge(c.current, float64(f.SessionsCurrent))
	each(c.commands, f.Commands)
	each(c.rewrites, f.Rewrites)
	each(c.expectations, f.Expectations)
	gauge(c.awaited, float64(f.Awaited))
	each(c.data, f.Data)
	each(c.refusals, f.Refusals)
	each(c.events, f.Events)
	for _, t := range f.Transfers {
		counter(c.transfers, t.Count, t.Mode, t.Direction)
		counter(c.uncounted, t.Uncounted, t.Mode, t.Direction)
		counter(c.bytes, t.Bytes, t.Mode, t.Direction)
	}
	counter(c.packets, f.Packets)
	each(c.unread, f.Unread)
	counter(c.throttled, f.Throttled)
	for _, q := range f.Queues {
		number := strconv.Itoa(int(q.Number))
		gauge(c.queueWaiting, float64(q.Waiting), number)
		counter(c.queuePackets, uint64(q.Packets), number)
		counter(c.queueDropped, uint64(q.Dropped), number, "full")
		counter(c.queueDropped, uint64(q.UserDropped), number, "socket")
		counter(c.queueDropped, q.Gone, number, "device")
	}
	gauge(c.conntrack, float64(f.Conntrack.Entries))
	gauge(c.conntrackMax, float64(f.Conntrack.Limit))
	counter(c.conntrackDrops, f.Conntrack.Dropped)
	ch <- histogram(c.verdicts, &f.Latency)
}

func histogram(d *prometheus.Desc, h *live.Histogram) prometheus.Metric {
	buckets := make(map[float64]uint64, len(h.Bounds))
	var below uint64
	for i, bound := range h.Bounds {
		below += h.Counts[i]
		buckets[bound] = below
	}
	return prometheus.MustNewConstHistogram(d, h.Count(), h.Sum, buckets)
}
