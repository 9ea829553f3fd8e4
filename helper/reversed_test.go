package helper

import (
	"strings"
	"testing"

	"github.com/ti-mo/conntrack"

	"ftpvip/helper/ftp"
	"ftpvip/helper/journal"
	"ftpvip/helper/track"
)

func TestFind(t *testing.T) {
	elsewhere := entryOfBackwards
	elsewhere.Seen = at("192.0.2.10:2121")
	stranger := entryOfBackwards
	stranger.Client, stranger.Seen = at("10.2.0.99:21"), at("192.0.2.10:2121")
	for _, tt := range []struct {
		name  string
		entry track.Connection
		want  track.Connection
		vip   bool
		stray bool
	}{
		{name: "from the client", entry: twoArm, want: twoArm, vip: true},
		{name: "from the server", entry: entryOfBackwards, want: backwards, vip: true},
		{name: "from the server, to no VIP", entry: elsewhere, want: elsewhere, stray: true},
		{name: "from another host", entry: stranger, want: stranger},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newView(testConfig(t))
			got, vip := v.find(tt.entry)
			if got != tt.want || (vip != nil) != tt.vip {
				t.Errorf("%+v, VIP %t; want %+v, %t", got, vip != nil, tt.want, tt.vip)
			}
			if stray := vip == nil && v.serves(got.Client); stray != tt.stray {
				t.Errorf("stray: %t", stray)
			}
		})
	}
}

// TestReversed has a session whose entry conntrack made of a server's packet: it is read as any other, and ends with the
// entry.
func TestReversed(t *testing.T) {
	h := newHost(t, backwards)
	h.tracker.entry = &entryOfBackwards
	h.want(h.send(ftp.FromServer, "226 done\r\n"), "accept")
	h.want(h.send(ftp.FromClient, "PASV\r\n"), "accept")
	h.want(h.send(ftp.FromServer, "227 Entering Passive Mode (10,2,0,11,195,80).\r\n"),
		"227 Entering Passive Mode (192,0,2,10,195,80)\r\n")
	if n := len(h.tracker.opened); n != 1 {
		t.Errorf("%d expectations", n)
	}
	flow := journal.Flow{Src: at("203.0.113.9:40007"), Dst: at("192.0.2.10:50000")}
	h.d.happened(&conntrack.Event{Type: conntrack.EventNew, Flow: &conntrack.Flow{
		TupleOrig: track.Tuple(flow.Src, flow.Dst), TupleMaster: backwards.Original(),
	}})
	if got := h.d.count.opened.Load(); got != 1 {
		t.Errorf("%d data connections opened, want 1", got)
	}
	h.d.happened(&conntrack.Event{Type: conntrack.EventDestroy, Flow: &conntrack.Flow{
		ID: 1, TupleOrig: track.Tuple(backwards.Backend, backwards.Seen), TupleReply: track.Tuple(backwards.Client, backwards.VIP),
	}})
	if n := h.paths(); n != 0 {
		t.Errorf("%d paths are left of it", n)
	}
}

// TestStray has one whose packets get another source than the VIP.
func TestStray(t *testing.T) {
	stray := backwards
	stray.VIP = at("192.0.2.10:2121")
	h := newHost(t, stray)
	entry := stray.Turned()
	h.tracker.entry = &entry
	h.want(h.send(ftp.FromServer, "226 done\r\n"), "drop")
	if len(h.tracker.ended) != 1 || h.paths() != 0 {
		t.Errorf("ended %v, %d paths", h.tracker.ended, h.paths())
	}
	if n := h.d.Figures().Unread["stray"]; n != 1 {
		t.Errorf("counted %d", n)
	}
	if !strings.Contains(h.log.String(), "source_group") {
		t.Errorf("the log does not say what to do: %s", h.log)
	}
}
