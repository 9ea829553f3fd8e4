package report

import (
	"fmt"
	"strings"

	"ftpvip/rules"
)

// refusalTexts are the reasons for a refusal, in words for an admin.
var refusalTexts = map[rules.Refusal]string{
	rules.RefusedByDeny:    "of clients in the list deny",
	rules.RefusedByAllow:   "of clients that are not in the list allow",
	rules.RefusedByRate:    "beyond new_per_second_per_client",
	rules.RefusedByClients: "beyond connections_per_client",
	rules.RefusedByBackend: "beyond connections_per_backend",
}

// countRefused takes the counters of the VIP from those of the table.
func (v *VIP) countRefused(counts map[string]uint64) {
	for _, why := range rules.Refusals {
		if n, ok := counts[rules.CounterName(why, v.Name)]; ok {
			if v.Refused == nil {
				v.Refused = map[rules.Refusal]uint64{}
			}
			v.Refused[why] = n
		}
	}
}

func (v *VIP) writeRefused(b *strings.Builder) {
	for _, why := range rules.Refusals {
		if n, ok := v.Refused[why]; ok {
			fmt.Fprintf(b, "  refused %s: %d\n", refusalTexts[why], n)
		}
	}
}
