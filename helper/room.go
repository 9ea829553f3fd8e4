package helper

import (
	"bufio"
	"os"
	"slices"
	"strconv"
	"strings"

	"ftpvip/helper/live"
)

// statFile has conntrack's counters of this network namespace, a line for each processor
// (net/netfilter/nf_conntrack_standalone.c, ct_cpu_seq_show).
const statFile = "/proc/thread-self/net/stat/nf_conntrack"

// conntrackFigures says how full conntrack's table is; zero where the kernel does not say.
func conntrackFigures() live.Conntrack {
	c := live.Conntrack{Entries: hostNumber("nf_conntrack_count"), Limit: hostNumber("nf_conntrack_max")}
	if b, err := os.ReadFile(statFile); err == nil {
		c.Dropped = parseDropped(string(b))
	}
	return c
}

// parseDropped adds up the packets of new connections that were dropped since the table was full, and the connections
// that had to make room.
func parseDropped(text string) (sum uint64) {
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Scan()
	names := strings.Fields(lines.Text())
	columns := []int{slices.Index(names, "drop"), slices.Index(names, "early_drop")}
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		for _, i := range columns {
			if i < 0 || i >= len(fields) {
				continue
			}
			if n, err := strconv.ParseUint(fields[i], 16, 64); err == nil {
				sum += n
			}
		}
	}
	return sum
}

// nearlyFull reports whether the kernel is about to refuse new connections.
func nearlyFull(c live.Conntrack) bool { return c.Limit > 0 && c.Entries >= c.Limit/100*95 }
