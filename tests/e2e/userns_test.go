package e2e

import (
	"strings"
	"testing"

	"ftpvip/tests/lab"
)

// TestUserNamespace: in a user namespace, where nfnetlink_cthelper is out of reach, `carrier: auto` takes the other one.
func TestUserNamespace(t *testing.T) {
	f := newFarm(t, arrangement{})
	r, err := f.Balancer.Run(t.Context(), lab.Command{Args: []string{"unshare", "-U", "-r", "-n", "sh", "-ec",
		f.ftpvip.Path + " --config " + f.ftpvip.Config + " --state-dir " + t.TempDir() + "/state apply && nft list table inet ftpvip"}})
	must(t, err)
	if r.Code != 0 || !strings.Contains(r.Stdout, `type "sane"`) {
		t.Errorf("apply in a user namespace: %s", r)
	}
}
