package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"ftpvip/configs"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// metricsAt is where the helper serves its metrics, on the balancer's own loopback.
const metricsAt = "127.0.0.1:9121"

// scrape reads the helper's metrics, as Prometheus would.
func (f *farm) scrape(t *testing.T) map[string]float64 {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return f.Balancer.Dial(ctx, netip.Addr{}, netip.MustParseAddrPort(metricsAt))
	}}
	request, err := http.NewRequestWithContext(soon(t), http.MethodGet, "http://"+metricsAt+"/metrics", http.NoBody)
	must(t, err)
	answer, err := transport.RoundTrip(request)
	must(t, err)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("GET /metrics: %s", answer.Status)
	}
	values := map[string]float64{}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if values[name], err = strconv.ParseFloat(value, 64); err != nil {
			t.Fatalf("the metric %q: %v", lines.Text(), err)
		}
	}
	return values
}

// TestMetrics scrapes the helper before, during and after sessions whose doings are known.
func TestMetrics(t *testing.T) {
	f := newFarm(t, arrangement{helper: "metrics: " + metricsAt + "\n"})
	must(t, f.Balancer.Sysctl("net/netfilter/nf_conntrack_acct", "1"))
	v := f.vips[0]
	const size = 200_000
	v.put(t, "file", content("metrics", size))
	if m := f.scrape(t); m["ftpvip_sessions_total"] != 0 || m["ftpvip_packets_total"] != 0 {
		t.Errorf("before the first session: %v", m)
	}
	const sessions = 3
	var open []*client.Session
	for range sessions {
		s := f.dial(t, v, netip.Addr{}, configs.IPv4)
		for _, mode := range client.Modes(configs.IPv4) {
			var got bytes.Buffer
			_, err := s.Download(t.Context(), mode, "file", &got)
			must(t, err)
			_, err = s.Upload(t.Context(), mode, server.UploadDir+"/"+string(mode), bytes.NewReader(got.Bytes()))
			must(t, err)
		}
		open = append(open, s)
	}
	e := f.dial(t, v, netip.Addr{}, configs.IPv6)
	_, err := e.Passive(client.EPSV) // and nobody comes
	must(t, err)

	during := f.scrape(t)
	want := map[string]float64{
		"ftpvip_sessions_total":                                  4,
		"ftpvip_sessions":                                        4,
		`ftpvip_commands_total{verb="USER"}`:                     4,
		`ftpvip_commands_total{verb="PASV"}`:                     2 * sessions,
		`ftpvip_commands_total{verb="EPSV"}`:                     2*sessions + 1,
		`ftpvip_commands_total{verb="PORT"}`:                     2 * sessions,
		`ftpvip_commands_total{verb="EPRT"}`:                     2 * sessions,
		`ftpvip_commands_total{verb="RETR"}`:                     4 * sessions,
		`ftpvip_commands_total{verb="STOR"}`:                     4 * sessions,
		`ftpvip_rewrites_total{verb="PASV"}`:                     2 * sessions,
		`ftpvip_rewrites_total{verb="PORT"}`:                     0, // two-arm
		`ftpvip_expectations_total{outcome="created"}`:           8*sessions + 1,
		`ftpvip_expectations_total{outcome="no_carrier"}`:        0,
		`ftpvip_data_connections_total{outcome="opened"}`:        8 * sessions,
		"ftpvip_data_awaited":                                    1,
		`ftpvip_refusals_total{reason="third_party"}`:            0,
		`ftpvip_queue_dropped_total{queue="2100",reason="full"}`: 0,
	}
	for name, value := range want {
		if got, ok := during[name]; !ok || got != value {
			t.Errorf("%s is %v (there: %t), want %v", name, got, ok, value)
		}
	}
	if n, h := during["ftpvip_packets_total"], during["ftpvip_verdict_seconds_count"]; n < 100 || n != h {
		t.Errorf("%v packets were handled and %v verdicts timed", n, h)
	}
	if got := during["ftpvip_queue_packets_total{queue=\"2100\"}"] + during["ftpvip_queue_packets_total{queue=\"2101\"}"]; got < during["ftpvip_packets_total"] {
		t.Errorf("the kernel says that it handed out %v packets, the helper that it took %v", got, during["ftpvip_packets_total"])
	}

	for _, s := range open {
		must(t, s.Close())
	}
	must(t, e.Close())
	eventually(t, "all sessions have ended, and their transfers are accounted for", func() bool {
		m := f.scrape(t)
		sum := func(name string) (total float64) {
			for _, mode := range []string{"passive", "active"} {
				for _, direction := range []string{"download", "upload"} {
					total += m[fmt.Sprintf("ftpvip_%s{direction=%q,mode=%q}", name, direction, mode)]
				}
			}
			return total
		}
		bytes := sum("transfer_bytes_total")
		return m["ftpvip_sessions"] == 0 && sum("transfers_total") == 8*sessions && m["ftpvip_data_awaited"] == 0 &&
			bytes >= 8*sessions*size && bytes < 8*sessions*size*11/10
	})
}
