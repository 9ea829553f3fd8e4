package doctor

import (
	"os/exec"
	"strings"
	"testing"

	"ftpvip/rules"
	"ftpvip/rules/walk"
)

// TestHostileNames: what a remedy's command gets from a shell is the names, whatever they are.
func TestHostileNames(t *testing.T) {
	for _, name := range []string{"filter", "a b", "$(echo evil)", "`echo evil`", "x;echo evil", "it's", "'; echo evil; '", "a\"b", "*", "~", "a\nb", "#", ""} {
		chain := &walk.Chain{Table: &walk.Table{Family: walk.INet, Name: name}, Name: name, Base: &rules.Base{}}
		h := &hit{class: &class{id: "firewall-related"}, chain: chain}
		for what, line := range map[string]string{
			"insert": nftRemedy(&Facts{}, h)[0],
			"delete": deleteRule(walk.Place{Chain: chain, Rule: &walk.Rule{Handle: 7}}),
			"sysctl": sysctlCommand("net/ipv4/conf/"+name+"/rp_filter", "2"),
		} {
			out, err := exec.CommandContext(t.Context(), "sh", "-c", `nft() { printf '%s|' "$@"; }; sysctl() { nft "$@"; }; `+line).Output()
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			want := "inet|" + name + "|" + name + "|"
			if what == "sysctl" {
				want = "|net.ipv4.conf." + name + ".rp_filter=2|"
			}
			if !strings.Contains(string(out), want) {
				t.Errorf("%s of %q: the shell makes %q of %s", what, name, out, line)
			}
		}
	}
}
