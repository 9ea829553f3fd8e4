package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/server"
)

// TestTLSWithoutSlice: FTPS with servers that have no passive slice is told by the log, once a server, by the session's line, by
// status and by doctor; with tls_without_slice: refuse clients are told at once.
func TestTLSWithoutSlice(t *testing.T) {
	lab.Require(t, lab.Curl)
	f := newFTPSFarm(t, server.VSFTPD, lab.TwoArm, nil)
	text := regexp.MustCompile(`, passive_ports: [0-9-]+`).ReplaceAllString(fmt.Sprintf(ftpsConfig,
		lab.YAMLAddrs(f.VIPs[0]), "none", lab.YAMLAddrs(f.Backends[0].Addrs), lab.YAMLAddrs(f.Backends[1].Addrs)), "")
	f.configure(t, text)
	f.health(t, 1)
	f.exits(t, 0, "status")
	curl := func() lab.Result {
		r, err := f.Client.Run(t.Context(), lab.Command{Args: []string{"curl", "--silent", "--show-error", "--verbose", "--insecure", "--ssl-reqd",
			"--max-time", "5", "ftp://" + f.vip.at(configs.IPv4).String() + "/"}})
		must(t, err)
		return r
	}
	for range 2 {
		if r := curl(); r.Code == 0 {
			t.Fatalf("a transfer comes through: %s", r)
		}
	}
	eventually(t, "the sessions have ended", func() bool { return strings.Count(f.helper.Stderr(), "session ended") >= 2 })
	log := f.helper.Stderr()
	if n := strings.Count(log, "the server has no passive_ports: passive data connections of such sessions will fail"); n < 1 || n > 2 {
		t.Errorf("%d warnings, want one a server:\n%s", n, log)
	}
	for line := range strings.Lines(log) {
		if strings.Contains(line, "session ended") && !strings.Contains(line, "cause=") {
			t.Errorf("no cause: %s", line)
		}
	}
	if r := f.exits(t, 1, "status"); !strings.HasPrefix(r.Stdout, "PROBLEM: sessions in TLS with servers that have no passive_ports") {
		t.Errorf("status: %s", r)
	}
	if r := f.exits(t, 1, "doctor"); !strings.Contains(r.Stdout, "[tls-without-slice]") {
		t.Errorf("doctor: %s", r)
	}

	f.configure(t, strings.Replace(text, "port: 21,", "port: 21, tls_without_slice: refuse,", 1))
	if r := curl(); r.Code != 64 || !strings.Contains(r.Stderr, "< 534 ") {
		t.Errorf("refused: %s", r)
	}
}
