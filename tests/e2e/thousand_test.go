package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ftpvip/health"
	"ftpvip/tests/lab"
)

// TestThousandBackends has a round of 1,000 backends, three in ten of them black holes: it ends within one time-out and a
// second, with bounded memory and sockets. The backends are addresses of one host.
func TestThousandBackends(t *testing.T) {
	lab.Require(t, lab.Root, lab.NFT, lab.PyFTPDlib)
	const timeout, maxMemory, maxFiles = 3 * time.Second, 128 << 20, 1100
	backends := 1000
	if lab.Kernel(os.Getenv("FTPVIP_KERNEL")) == lab.Stock {
		backends = 200 // an emulated processor does not begin 1,000 checks within the second that a round has to spare
	}
	path, err := lab.FindProgram()
	must(t, err)
	l, err := lab.New(t.Context(), lab.Options{Backends: 1})
	must(t, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	farm := l.Backends[0]
	for _, c := range []struct {
		on   *lab.Namespace
		args string
	}{
		{farm.Namespace, "ip route add local 172.16.0.0/16 dev lo"},
		{l.Balancer, "ip route add 172.16.0.0/16 via " + farm.Addrs.V4.String()},
	} {
		r, err := c.on.Run(t.Context(), lab.Command{Args: strings.Fields(c.args)})
		must(t, err)
		if r.Code != 0 {
			t.Fatal(r)
		}
	}
	var config, holes strings.Builder
	config.WriteString("vips: []\npools:\n- name: farm\n  health: {check: ftp-banner, fall: 1}\n  backends:\n")
	for i := range backends {
		addr := fmt.Sprintf("172.16.%d.%d", i/250, i%250+1)
		fmt.Fprintf(&config, "  - {name: b%d, addresses: [%s]}\n", i, addr)
		if i%10 < 3 {
			fmt.Fprintf(&holes, "ip daddr %s drop\n", addr)
		}
	}
	filter(t, farm, holes.String())
	ready := filepath.Join(l.Dir, "ready")
	runOn(t, l, farm, ready, lab.Python, "-c", talker, "220 ready\r\n", ready)

	p, err := l.Program(path, config.String())
	must(t, err)
	round, err := l.Balancer.Start(t.Context(), lab.Command{Args: []string{
		p.Path, "--config", p.Config, "--state-dir", p.State, "health", "-o", "json",
	}})
	must(t, err)
	begin, memory, files := time.Now(), 0, 0
	for running := true; running; {
		select {
		case <-round.Done():
			running = false
		case <-time.After(10 * time.Millisecond):
			memory = max(memory, peak(round.Pid()))
			if list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", round.Pid())); err == nil {
				files = max(files, len(list))
			}
		}
	}
	took := time.Since(begin)
	r, err := round.Wait(t.Context())
	must(t, err)
	var report health.Report
	if err := json.Unmarshal([]byte(r.Stdout), &report); err != nil {
		t.Fatalf("%v: %s", err, r)
	}
	t.Logf("%d backends, %d black holes: checks %.2f s, whole run %.2f s, peak memory %.1f MB, %d open files",
		backends, backends*3/10, report.DurationMS/1000, took.Seconds(), float64(memory)/(1<<20), files)
	if d := time.Duration(report.DurationMS * float64(time.Millisecond)); d > timeout+time.Second {
		t.Errorf("the round took %v", d)
	}
	if n := report.Pools[0].Members; n != backends*7/10 {
		t.Errorf("%d members", n)
	}
	if memory == 0 || memory > maxMemory || files > maxFiles {
		t.Errorf("%d bytes of memory, %d open files", memory, files)
	}
}

// peak is the most memory that a process ever had, in bytes; 0 where it has gone.
func peak(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.Fields(text)[0])
			if err != nil {
				return 0
			}
			return kb << 10
		}
	}
	return 0
}
