package lab

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Feature is something that a machine may lack.
type Feature string

// The features.
const (
	Root      Feature = "root"
	NFT       Feature = "nft"
	VSFTPD    Feature = "vsftpd"
	PyFTPDlib Feature = "pyftpdlib"
	Curl      Feature = "curl"
	LFTP      Feature = "lftp"
	TNFTP     Feature = "tnftp"
	ProFTPD   Feature = "proftpd"
	PureFTPd  Feature = "pure-ftpd"
	// ProFTPDTLS is ProFTPD's module for TLS.
	ProFTPDTLS Feature = "proftpd's mod_tls"
	// CTHelper is the kernel's nfnetlink_cthelper, which the carrier of that name needs.
	CTHelper Feature = "nfnetlink_cthelper"
	// Flowtable is the kernel's flowtables, with nft's statement for them.
	Flowtable Feature = "flowtables"
	// NFTQueue is the kernel's own queue statement.
	NFTQueue Feature = "nft's queue statement"
)

// Missing is the error of a feature that is not there.
type Missing struct {
	Feature Feature
	Why     error
}

// Error implements error.
func (m *Missing) Error() string {
	return fmt.Sprintf("this machine lacks %s: %v", m.Feature, m.Why)
}

// Unwrap returns the reason.
func (m *Missing) Unwrap() error { return m.Why }

// Check returns nil where the feature is there, else a *Missing. It tries, and does not guess from versions.
func (f Feature) Check() error {
	var err error
	switch f {
	case Root:
		if !Inside() {
			err = ErrNeedsRoot
		}
	case CTHelper:
		err = probeCTHelper()
	case NFTQueue:
		err = probe("chain c { queue to 1; }; ")
	case Flowtable:
		err = probe("flowtable f { hook ingress priority 0; devices = { lo }; }; chain c { type filter hook forward priority 0; flow add @f; }; ")
	case PyFTPDlib:
		err = exec.Command(Python, "-c", "import pyftpdlib.servers").Run()
	case ProFTPDTLS:
		_, err = os.Stat(ProFTPDModules + "/mod_tls.so")
	case NFT, VSFTPD, Curl, LFTP, TNFTP, ProFTPD, PureFTPd:
		_, err = exec.LookPath(string(f))
	}
	if err != nil {
		return &Missing{Feature: f, Why: err}
	}
	return nil
}

// ProFTPDModules is where tests/deps puts the modules that Debian has in packages of their own.
const ProFTPDModules = "/usr/local/lib/proftpd"

// Python runs the lab's scripts: the distribution's interpreter, which has the distribution's modules.
const Python = "/usr/bin/python3"

// probeCTHelper lists the registered helpers: the kernel answers EINVAL where the subsystem does not exist.
func probeCTHelper() error {
	const get = 1 // NFNL_MSG_CTHELPER_GET, linux/netfilter/nfnetlink_cthelper.h
	r := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_CTHELPER<<8|get, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	r.AddRawData([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0})
	_, err := r.Execute(unix.NETLINK_NETFILTER, 0)
	return err
}

// probe has the kernel check a table, without making it.
func probe(table string) error {
	cmd := exec.Command("nft", "--check", "--file", "-")
	cmd.Stdin = strings.NewReader("table inet probe { " + table + "}")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// Kernel is what FTPVIP_KERNEL says of the kernel under test: how much it is expected to have.
type Kernel string

// The kernels.
const (
	// Small is a cloud micro-VM's kernel, without nfnetlink_cthelper and the queue statement. It is the default: what it lacks may be
	// lacking anywhere.
	Small Kernel = "small"
	// Stock is a distribution's kernel. The run in tests/vm has one.
	Stock Kernel = "stock"
)

// beyond lists what each kernel is known to lack, so that lacking it is no fault.
var beyond = map[Kernel][]Feature{
	Small: {CTHelper, NFTQueue, Flowtable},
	Stock: nil,
}

// Expected reports whether f should be there: then a missing f is a failure under FTPVIP_STRICT=1, and else only a
// reason to skip.
func (f Feature) Expected() bool {
	k := Kernel(os.Getenv("FTPVIP_KERNEL"))
	if k == "" {
		k = Small
	}
	return !slices.Contains(beyond[k], f)
}

// TB is the part of testing.TB that Require needs.
type TB interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Require skips the test where a feature is missing; under FTPVIP_STRICT=1 it fails, unless the kernel under test
// is known not to have the feature.
func Require(t TB, features ...Feature) {
	t.Helper()
	for _, f := range features {
		err := f.Check()
		switch {
		case err == nil:
		case os.Getenv("FTPVIP_STRICT") == "1" && f.Expected():
			t.Fatalf("%v (FTPVIP_STRICT=1)", err)
		default:
			t.Skipf("%v", err)
		}
	}
}
