package metrics

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ftpvip/helper/live"
)

func TestMain(m *testing.M) {
	// What net/http does for half a second after it refused a header.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

func figures() live.Figures {
	return live.Figures{
		Version: "1.2", Started: time.Unix(1700000000, 0), SessionsTotal: 9, SessionsCurrent: 2, Awaited: 1,
		Commands: map[string]uint64{"PASV": 3, "other": 1}, Rewrites: map[string]uint64{"PASV": 3},
		Expectations: map[string]uint64{"created": 3}, Data: map[string]uint64{"opened": 2},
		Refusals: map[string]uint64{"third_party": 1}, Events: map[string]uint64{"expected": 3},
		Unread: map[string]uint64{"no_connection": 4}, Throttled: 12,
		Transfers: []live.Transfer{{Mode: "passive", Direction: "download", Count: 2, Uncounted: 1, Bytes: 4096}},
		Queues:    []live.Queue{{Number: 2100, Packets: 5, Waiting: 1, Dropped: 2, UserDropped: 3, Gone: 8}},
		Conntrack: live.Conntrack{Entries: 7, Limit: 8, Dropped: 6},
		Latency:   live.Histogram{Bounds: []float64{0.001, 0.01}, Counts: []uint64{5, 3, 1}, Sum: 0.5},
	}
}

func scrape(t *testing.T) string {
	t.Helper()
	s, err := Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), figures)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		http.DefaultClient.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr().String()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s %v", r.Status, err)
	}
	return string(b)
}

func TestMetrics(t *testing.T) {
	got := scrape(t)
	for _, want := range []string{
		`ftpvip_sessions_total 9`, `ftpvip_sessions 2`, `ftpvip_commands_total{verb="PASV"} 3`,
		`ftpvip_rewrites_total{verb="PASV"} 3`, `ftpvip_expectations_total{outcome="created"} 3`, `ftpvip_data_awaited 1`,
		`ftpvip_data_connections_total{outcome="opened"} 2`, `ftpvip_refusals_total{reason="third_party"} 1`,
		`ftpvip_events_total{kind="expected"} 3`, `ftpvip_packets_unread_total{reason="no_connection"} 4`,
		`ftpvip_packets_throttled_total 12`,
		`ftpvip_transfers_total{direction="download",mode="passive"} 2`,
		`ftpvip_transfer_bytes_total{direction="download",mode="passive"} 4096`,
		`ftpvip_queue_dropped_total{queue="2100",reason="socket"} 3`,
		`ftpvip_queue_dropped_total{queue="2100",reason="device"} 8`, `ftpvip_queue_waiting{queue="2100"} 1`,
		`ftpvip_verdict_seconds_bucket{le="0.01"} 8`, `ftpvip_verdict_seconds_count 9`, `ftpvip_verdict_seconds_sum 0.5`,
		`ftpvip_conntrack_entries 7`, `ftpvip_conntrack_limit 8`, `ftpvip_conntrack_dropped_total 6`,
		`ftpvip_start_time_seconds 1.7e+09`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
}

// The table in doc.go lists the metrics that there are, with their types.
func TestTable(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var told, served []string
	for _, m := range regexp.MustCompile(`(?m)^//\t(ftpvip_\w+) +(\w+) `).FindAllStringSubmatch(string(doc), -1) {
		told = append(told, m[1]+" "+m[2])
	}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\w+ \w+)$`).FindAllStringSubmatch(scrape(t), -1) {
		served = append(served, m[1])
	}
	slices.Sort(told)
	slices.Sort(served)
	if !slices.Equal(told, served) {
		t.Errorf("doc.go tells of\n%s\nserved are\n%s", strings.Join(told, "\n"), strings.Join(served, "\n"))
	}
}

func TestTaken(t *testing.T) {
	s, err := Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), figures)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	_, err = Listen(t.Context(), netip.MustParseAddrPort(s.Addr().String()), figures)
	if err == nil || !strings.Contains(err.Error(), "choose a free address") {
		t.Errorf("%v, want a remedy", err)
	}
}

// TestCrowd opens a thousand connections that say nothing, or begin a request and never end it. A scrape is answered all the
// same, at once and again, and neither goroutines nor open files grow with the crowd.
func TestCrowd(t *testing.T) {
	s, err := Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), figures)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func() {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr().String()+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Body.Close() }()
		if b, err := io.ReadAll(r.Body); err != nil || r.StatusCode != http.StatusOK || !strings.Contains(string(b), "ftpvip_sessions 2\n") {
			t.Fatalf("%s %v", r.Status, err)
		}
	}
	goroutines := runtime.NumGoroutine()
	files := openFiles(t)
	const crowd = 1000
	for i := range crowd {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if i%2 == 0 {
			_, _ = io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ") // an error is as well: it was replaced
		}
		if i%100 == 99 {
			ask()
		}
	}
	ask()
	// The crowd's own ends are in this process, too.
	if n := openFiles(t) - files - crowd; n > maxConns+16 {
		t.Errorf("%d more files are open, want %d at most", n, maxConns+16)
	}
	if n := runtime.NumGoroutine() - goroutines; n > 2*maxConns+16 {
		t.Errorf("%d more goroutines run, want %d at most", n, 2*maxConns+16)
	}
}

// TestLongHeader sends a header without an end.
func TestLongHeader(t *testing.T) {
	s, err := Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), figures)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("x", 4*maxHeader)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 12)
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "HTTP/1.1 431" {
		t.Errorf("%q %v, want 431", answer, err)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
