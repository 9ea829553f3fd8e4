package observe

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseQueues(t *testing.T) {
	const text = " 2100   1234     3  2  65531     1     2      300  1\n 2101  -5678     0  2 65531 0 0 7 1\n"
	_, err := parseQueues(strings.NewReader(text))
	if err == nil {
		t.Error("a negative number is accepted")
	}
	queues, err := parseQueues(strings.NewReader(strings.ReplaceAll(text, "-", "4")))
	if err != nil {
		t.Fatal(err)
	}
	want := map[uint16]QueueState{
		2100: {Number: 2100, PeerPortID: 1234, Waiting: 3, Dropped: 1, UserDropped: 2, Packets: 300},
		2101: {Number: 2101, PeerPortID: 45678, Packets: 7},
	}
	if d := cmp.Diff(want, queues); d != "" {
		t.Errorf("queues differ (-want +got)\n%s", d)
	}
}
