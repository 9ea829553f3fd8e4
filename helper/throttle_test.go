package helper

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"ftpvip/helper/ftp"
)

// saturate has a client keep a worker busy for the second to come: what the test takes makes no difference.
func (h *host) saturate(w *worker, client netip.Addr, with ...netip.Addr) {
	now := time.Duration(h.d.moment(time.Now()))
	for t := now; t < now+time.Second; t += 50 * time.Microsecond {
		w.shares.Charge(t, client, 50*time.Microsecond)
		if len(with) > 0 {
			w.shares.Charge(t, with[int(t/1000)%len(with)], time.Microsecond)
		}
	}
}

// A client that uses more than its share has its packets dropped, whichever queue it keeps busy; nobody else has, and what
// servers say is never dropped.
func TestThrottled(t *testing.T) {
	client, other := twoArm.Client.Addr(), netip.MustParseAddr("198.51.100.1")
	for name, tt := range map[string]struct {
		who    netip.Addr
		others []netip.Addr
		queue  int
		dir    ftp.Direction
		want   string
	}{
		"over its share":             {client, []netip.Addr{other}, 0, ftp.FromClient, "drop"},
		"in the other queue":         {client, []netip.Addr{other}, 1, ftp.FromClient, "drop"},
		"what the server says":       {client, []netip.Addr{other}, 0, ftp.FromServer, "accept"},
		"alone":                      {client, nil, 0, ftp.FromClient, "accept"},
		"another is over its share":  {other, []netip.Addr{client}, 0, ftp.FromClient, "accept"},
		"nobody is over their share": {other, nil, 0, ftp.FromClient, "accept"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, twoArm)
			h.d.started = h.d.started.Add(-time.Minute) // there was a past
			h.d.workers = append(h.d.workers, newWorker(2101))
			h.send(ftp.FromServer, "220 ready\r\n")
			h.saturate(h.d.workers[tt.queue], tt.who, tt.others...)
			for range 3 {
				payload := "NOOP\r\n"
				if tt.dir == ftp.FromServer {
					payload = "200 fine\r\n"
				}
				if got := h.queue.verdict(h.send(tt.dir, payload)); got != tt.want {
					t.Fatalf("verdict %s, want %s", got, tt.want)
				}
			}
			dropped := uint64(0)
			if tt.want == "drop" {
				dropped = 3
			}
			if n := h.d.Figures().Throttled; n != dropped {
				t.Errorf("%d packets are counted, want %d", n, dropped)
			}
			lines := strings.Count(h.log.String(), "a client sends more than the helper can read")
			if want := min(int(dropped), 1); lines != want {
				t.Errorf("%d lines in the log, want %d:\n%s", lines, want, h.log.String())
			}
		})
	}
}
