package kernel

import (
	"strings"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/rules"
)

// TestLacking has the kernel refuse the rules of limits one after the other, as one without the expression does.
func TestLacking(t *testing.T) {
	cfg := farm(1)
	cfg.VIPs[0].Limits = configs.Limits{PerClient: 1, NewPerSecond: 1, Burst: 1, PerBackend: 1}
	b, err := encode(rules.Diff(nil, build(cfg)), true)
	if err != nil {
		t.Fatal(err)
	}
	sent := make([]netlink.Message, len(b.messages)+1)
	found := map[string]bool{}
	for i := range b.messages {
		sent[i+1].Header.Sequence = uint32(i + 1)
		for code, want := range map[unix.Errno]bool{unix.ENOENT: true, unix.EEXIST: false} {
			err := b.Explain(&netlink.OpError{Op: "receive", Err: code, Sequence: uint32(i + 1)}, sent)
			for _, key := range []string{"connections_per_client", "new_per_second_per_client", "connections_per_backend"} {
				if strings.Contains(err.Error(), "this kernel lacks") && strings.Contains(err.Error(), key) {
					if !want {
						t.Errorf("error %v is told as a lack: %v", code, err)
					}
					found[key] = true
				}
			}
		}
	}
	if len(found) != 3 {
		t.Errorf("a lack is told for %v, want all three limits", found)
	}
}
