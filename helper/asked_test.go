package helper

import (
	"strings"
	"testing"

	"ftpvip/helper/ftp"
	"ftpvip/helper/journal"
)

// calls is how often the kernel was asked for an expectation.
func (h *host) calls() int {
	h.tracker.mu.Lock()
	defer h.tracker.mu.Unlock()
	return len(h.tracker.opened)
}

const portA, portB = "PORT 203,0,113,9,200,1\r\n", "PORT 203,0,113,9,200,2\r\n"

// What one packet has the kernel do is bounded, however many lines are in it.
func TestKernelWorkOfOnePacket(t *testing.T) {
	h := newHost(t, twoArm)
	h.send(ftp.FromServer, "220 ready\r\n")
	id := h.send(ftp.FromClient, strings.Repeat(portA+portB, 25))
	if n := h.calls(); n != maxAnnounced {
		t.Errorf("one packet asked the kernel %d times, want %d", n, maxAnnounced)
	}
	passed := h.queue.verdict(id)
	if n := strings.Count(passed, "PORT 203,0,113,9,"); n != maxAnnounced {
		t.Errorf("%d announcements went on, want %d:\n%s", n, maxAnnounced, passed)
	}
	h.send(ftp.FromClient, portB+portA)
	if n := h.calls(); n != maxAnnounced+2 {
		t.Errorf("the next packet asked %d times, want 2", n-maxAnnounced)
	}
}

// The kernel is not asked again about what stands; whatever may have used an announcement has it asked.
func TestRepeatedAnnouncement(t *testing.T) {
	for name, tt := range map[string]struct {
		say  []string
		used bool // before the last
		want int
	}{
		"the same again":         {say: []string{portA, portA, portA}, want: 1},
		"many in one packet":     {say: []string{strings.Repeat(portA, 50)}, want: 1},
		"in turn":                {say: []string{portA, portB, portA}, want: 3},
		"after a transfer":       {say: []string{portA, "LIST\r\n", portA}, want: 2},
		"after any command":      {say: []string{portA, "NOOP\r\n", portA}, want: 2},
		"after it came":          {say: []string{portA, portA}, used: true, want: 2},
		"another verb, same end": {say: []string{portA, "EPRT |1|203.0.113.9|51201|\r\n"}, want: 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, twoArm)
			h.send(ftp.FromServer, "220 ready\r\n")
			for i, line := range tt.say {
				if tt.used && i == len(tt.say)-1 {
					h.d.dataOpened(path{twoArm.VIP, twoArm.Client}, journal.Flow{
						Src: at("10.2.0.11:20"), Dst: at("203.0.113.9:51201"),
					})
				}
				h.send(ftp.FromClient, line)
			}
			if n := h.calls(); n != tt.want {
				t.Errorf("the kernel was asked %d times, want %d", n, tt.want)
			}
		})
	}
}
