package e2e

import (
	"fmt"
	"testing"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// TestMoreClients moves files in every mode with clients that are not in TestTransfers.
func TestMoreClients(t *testing.T) {
	for _, arm := range arms {
		t.Run(arm.name, func(t *testing.T) {
			f := newFarm(t, arrangement{
				kinds: []server.Kind{server.VSFTPD, server.PyFTPDlib}, arm: arm.arm, snat: arm.snat,
			})
			for _, v := range f.vips {
				v.put(t, "file", content("file", fileSize))
				for _, tool := range []client.Tool{client.TNFTP, client.LFTPPipelined} {
					for _, family := range configs.Families {
						for _, mode := range tool.Modes(family) {
							if tool == client.LFTPPipelined && v.Name == string(server.PyFTPDlib) && mode.Active() {
								continue // pyftpdlib replies to STOR before it replies to PORT, and lftp loses count
							}
							t.Run(fmt.Sprintf("%s/%s/IPv%d/%s", v.Name, tool, family, mode), func(t *testing.T) {
								t.Parallel()
								lab.Require(t, tool.Needs()...)
								testOperations(t, f, v, tool, mode, family)
							})
						}
					}
				}
			}
		})
	}
}
