// Package e2e tests ftpvip from end to end: the real program, real FTP servers and clients, in the network of
// package lab. The tests need no source tree and no network, so the same test binary also runs in the virtual
// machine of tests/vm, where FTPVIP_BIN names the program.
package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ftpvip/tests/lab"
	"ftpvip/tests/lab/server"
)

func TestMain(m *testing.M) {
	server.MainIfChild()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if err := lab.Enter(); err != nil && !errors.Is(err, lab.ErrNeedsRoot) {
		fmt.Fprintf(os.Stderr, "e2e: %v\n", err)
		return 1
	}
	if lab.Inside() && os.Getenv("FTPVIP_BIN") == "" {
		if err := build(); err != nil {
			fmt.Fprintf(os.Stderr, "e2e: %v\n", err)
			return 1
		}
	}
	return m.Run()
}

// build makes the program out of the source tree, in a folder that ends with the world.
func build() error {
	path := filepath.Join(os.TempDir(), "ftpvip")
	cmd := exec.Command("go", "build", "-o", path, "ftpvip/cmd/ftpvip")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building ftpvip: %w\n%s", err, out)
	}
	return os.Setenv("FTPVIP_BIN", path)
}
