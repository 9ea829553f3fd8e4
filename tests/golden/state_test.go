package golden

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"ftpvip/configs"
	"ftpvip/rules"
)

// stateLine is a comment that says what is known of a backend: "# state: POOL/BACKEND down", "ramp 30" (percent),
// "weight 5" or "drained".
var stateLine = regexp.MustCompile(`^# state: ([a-z0-9-]+)/([a-z0-9-]+) (down|drained|ramp|weight)(?: ([0-9]+))?$`)

// stateOf reads the state out of a configuration's comments.
func stateOf(t *testing.T, cfg *configs.Config, text string) rules.State {
	t.Helper()
	state := rules.State{Down: map[configs.Ref]bool{}, Admin: map[configs.Ref]rules.Admin{}, Ramp: map[configs.Ref]int{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "# state:") {
			continue
		}
		m := stateLine.FindStringSubmatch(line)
		if m == nil || cfg.Pool(m[1]) == nil || (m[4] != "") != (m[3] == "ramp" || m[3] == "weight") {
			t.Fatalf("bad state line %q", line)
		}
		ref := configs.Ref{Pool: m[1], Backend: m[2]}
		number, _ := strconv.Atoi(m[4]) // digits, or nothing
		admin := state.Admin[ref]
		switch m[3] {
		case "down":
			state.Down[ref] = true
		case "drained":
			admin.Mode = rules.Drained
		case "weight":
			admin.Weight = number
		case "ramp":
			state.Ramp[ref] = number
		}
		state.Admin[ref] = admin
	}
	return state
}
