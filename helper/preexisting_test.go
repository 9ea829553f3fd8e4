package helper

import (
	"log/slog"
	"testing"

	"ftpvip/helper/ftp"
	"ftpvip/helper/track"
)

func TestStartOf(t *testing.T) {
	tests := []struct {
		name     string
		entry    track.Entry
		unlisted bool
		want     ftp.Start
	}{
		{name: "seen from its SYN on", entry: track.Entry{Connection: twoArm, Carrier: true}, want: ftp.Fresh},
		{name: "existed before", entry: track.Entry{Connection: oneArm, Carrier: true}, want: ftp.Midway},
		{name: "may have existed before", entry: track.Entry{Connection: twoArm, Carrier: true}, unlisted: true, want: ftp.Midway},
		{name: "picked up by conntrack", entry: track.Entry{Connection: twoArm, Carrier: true, Midstream: true}, want: ftp.Midway},
		{name: "older than the rules", entry: track.Entry{Connection: twoArm}, want: ftp.Midway},
		{name: "in TLS", entry: track.Entry{Connection: oneArm, Carrier: true, Opaque: true}, want: ftp.Encrypted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := New(testConfig(t), slog.New(slog.DiscardHandler), Options{})
			d.preexisting.add(oneArm.ID)
			if !tt.unlisted {
				d.preexisting.complete(1)
			}
			if got := d.startOf(&tt.entry); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// TestReloadLists: packets of a VIP that the helper did not know have passed unread.
func TestReloadLists(t *testing.T) {
	h := newHost(t, twoArm)
	h.d.Reload(testConfig(t), "")
	if n := h.d.preexisting.expected(); n != 0 {
		t.Errorf("%d lists are due for the same VIPs", n)
	}
	cfg := testConfig(t)
	cfg.VIPs[0].Port = 2121
	h.d.Reload(cfg, "")
	if n := h.d.preexisting.expected(); n != 1 {
		t.Errorf("%d lists are due for a new VIP, want 1", n)
	}
	if len(h.d.preexisting.due) != 1 {
		t.Error("nobody is told to make it")
	}
}
