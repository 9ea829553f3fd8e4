package probe

import (
	"crypto/tls"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ftpserver "github.com/fclairamb/ftpserverlib"
	"github.com/spf13/afero"

	"ftpvip/configs"
	"ftpvip/health/judge"
)

// TestFTPTransfer moves real files from a whole server, in both families.
func TestFTPTransfer(t *testing.T) {
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(secret+"\r\nsecond line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const sum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" // of hello
	tests := []struct {
		name   string
		change func(h *configs.Health)
		step   judge.Step
		reason string // what it contains
	}{
		{"OK lists", func(*configs.Health) {}, judge.StepNone, ""},
		{"OK lists a folder", func(h *configs.Health) { h.Path = "/pub/" }, judge.StepNone, ""},
		{"OK retrieves", func(h *configs.Health) { h.Path, h.Size, h.SHA256 = "check.txt", 5, sum }, judge.StepNone, ""},
		{"OK stores", func(h *configs.Health) { h.Store = "/in/check" }, judge.StepNone, ""},
		{"OK password file", func(h *configs.Health) { h.Password, h.PasswordFile = "", password }, judge.StepNone, ""},
		{"bad password", func(h *configs.Health) { h.Password = "wrong-word" }, judge.StepLogin, "login refused: the server answers PASS with 530"},
		{"bad password file", func(h *configs.Health) { h.PasswordFile = "/nowhere" }, judge.StepLocal, "the password cannot be read: password_file: open /nowhere: no such file"},
		{"bad no file", func(h *configs.Health) { h.Path = "none.txt" }, judge.StepTransfer, "the server answers "},
		{"bad size", func(h *configs.Health) { h.Path, h.Size = "check.txt", 6 }, judge.StepContent, `the file "check.txt" has 5 bytes, not 6`},
		{"bad content", func(h *configs.Health) { h.Path, h.SHA256 = "check.txt", strings.Repeat("0", 64) }, judge.StepContent, "is another one: its SHA-256 is " + sum},
	}
	for _, host := range loopback {
		d := &ftpd{}
		at := startFTP(t, host, d)
		for _, tt := range tests {
			t.Run(tt.name+" "+host, func(t *testing.T) {
				h := transferHealth()
				tt.change(&h)
				r := FTPTransfer(t.Context(), targetOf(at, h))
				if r.Step != tt.step || !strings.Contains(r.Reason, tt.reason) {
					t.Errorf("%s: %s\nwant %s: %s", r.Step, r.Reason, tt.step, tt.reason)
				}
				if strings.Contains(r.Reason, secret) || strings.Contains(r.Reason, "wrong-word") {
					t.Errorf("a password is in the reason: %s", r.Reason)
				}
				if left, err := afero.ReadDir(d.fs, "/in"); err != nil || len(left) > 0 {
					t.Errorf("left behind: %v, %v", left, err)
				}
			})
		}
	}
}

// TestFTPOverTLS has certificates that are right and wrong, on control and data connections.
func TestFTPOverTLS(t *testing.T) {
	good, ca, pin := certificate(t, time.Now().Add(time.Hour))
	expired, oldCA, _ := certificate(t, time.Now().Add(-time.Hour))
	_, otherCA, otherPin := certificate(t, time.Now().Add(time.Hour))
	tests := []struct {
		name   string
		cert   tls.Certificate
		tls    configs.TLS
		step   judge.Step
		reason string
	}{
		{"OK ca", good, configs.TLS{CA: ca}, judge.StepNone, ""},
		{"OK name", good, configs.TLS{CA: ca, ServerName: "ftp.example.net"}, judge.StepNone, ""},
		{"OK pin", good, configs.TLS{Pin: pin}, judge.StepNone, ""},
		{"bad system's authorities", good, configs.TLS{}, judge.StepTLS, "signed by nobody that this host trusts"},
		{"bad other ca", good, configs.TLS{CA: otherCA}, judge.StepTLS, "signed by nobody that this host trusts"},
		{"bad name", good, configs.TLS{CA: ca, ServerName: "other.example.net"}, judge.StepTLS,
			`the certificate is for "ftp.example.net, 127.0.0.1, ::1" and not for other.example.net; set tls.server_name`},
		{"bad pin", good, configs.TLS{Pin: otherPin}, judge.StepTLS, "the certificate is not the pinned one: its SHA-256 is " + pin},
		{"bad expired", expired, configs.TLS{CA: oldCA}, judge.StepTLS, "the control connection: the certificate expired on "},
		{"bad version", good, configs.TLS{CA: ca, MinVersion: "1.3"}, judge.StepTLS, "tls.min_version, which is 1.3"},
		{"bad ca file", good, configs.TLS{CA: "/nowhere"}, judge.StepLocal, "the authorities cannot be read: tls.ca: open /nowhere"},
	}
	for _, tt := range tests {
		for _, mode := range []configs.TLSMode{configs.TLSExplicit, configs.TLSImplicit} {
			t.Run(tt.name+" "+string(mode), func(t *testing.T) {
				t.Parallel()
				d := &ftpd{tls: &tls.Config{Certificates: []tls.Certificate{tt.cert}}}
				if tt.tls.MinVersion == "1.3" {
					d.tls.MaxVersion = tls.VersionTLS12
				}
				d.settings.TLSRequired = ftpserver.MandatoryEncryption
				if mode == configs.TLSImplicit {
					d.settings.TLSRequired = ftpserver.ImplicitEncryption
				}
				h := transferHealth()
				h.Path, h.Size = "check.txt", 5
				h.TLS = tt.tls
				h.TLS.Mode = mode
				if h.TLS.MinVersion == "" {
					h.TLS.MinVersion = "1.2"
				}
				r := FTPTransfer(t.Context(), targetOf(startFTP(t, "127.0.0.1", d), h))
				if r.Step != tt.step || !strings.Contains(r.Reason, tt.reason) {
					t.Errorf("%s: %s\nwant %s: %s", r.Step, r.Reason, tt.step, tt.reason)
				}
			})
		}
	}
}

// TestNamed: what a reply to PASV may name, straight and through a VIP.
func TestNamed(t *testing.T) {
	a := netip.MustParseAddr
	b := configs.Backend{Addrs: configs.Addrs{V4: a("10.2.0.11")}, Aliases: []netip.Addr{a("172.17.0.2")}}
	vip := &configs.VIP{Application: configs.FTPControl, Addrs: configs.Addrs{V4: a("192.0.2.10")}, Advertise: a("203.0.113.10")}
	tests := []struct {
		name    string
		through configs.Through
		vips    []*configs.VIP
		want    string
	}{
		{"straight", configs.ThroughBackend, []*configs.VIP{vip}, "10.2.0.11 172.17.0.2 192.0.2.10 203.0.113.10"},
		{"through", configs.ThroughVIP, []*configs.VIP{vip}, "192.0.2.10 203.0.113.10"},
		{"nobody reads", configs.ThroughBackend, nil, ""},
	}
	for _, tt := range tests {
		pool := &configs.Pool{Name: "farm", VIPs: tt.vips, Health: configs.Health{Through: tt.through}}
		var got []string
		for _, n := range named(pool, b) {
			got = append(got, n.String())
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, s, tt.want)
		}
	}
}
