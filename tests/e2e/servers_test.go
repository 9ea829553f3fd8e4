package e2e

import (
	"fmt"
	"testing"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// TestMoreServers moves files in every mode through VIPs with servers that are not in TestTransfers.
func TestMoreServers(t *testing.T) {
	for _, kind := range []server.Kind{server.ProFTPD, server.PureFTPd} {
		for _, arm := range arms {
			t.Run(string(kind)+"/"+arm.name, func(t *testing.T) {
				f := newFarm(t, arrangement{kinds: []server.Kind{kind}, arm: arm.arm, snat: arm.snat})
				v := f.vips[0]
				v.put(t, "file", content("file", fileSize))
				for _, family := range configs.Families {
					for _, mode := range client.Modes(family) {
						t.Run(fmt.Sprintf("IPv%d/%s", family, mode), func(t *testing.T) {
							t.Parallel()
							lab.Require(t, client.Curl.Needs()...)
							testOperations(t, f, v, client.Curl, mode, family)
						})
					}
				}
			})
		}
	}
}
