package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpvip/configs"
	"ftpvip/health"
	"ftpvip/health/judge"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/server"
)

// talker accepts on port 21 of both families, says its argument and then nothing more.
const talker = `import socket, sys, time
s = socket.create_server(("::", 21), family=socket.AF_INET6, dualstack_ipv6=True)
open(sys.argv[2], "w").close()
keep = []
while True:
    c, _ = s.accept()
    c.sendall(sys.argv[1].encode())
    keep.append(c)
`

// tlsServer is vsftpd with a certificate. It demands, as it does by default, that data connections resume the TLS session of
// the control connection.
const tlsServer = `listen=NO
listen_ipv6=YES
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root=%[1]s
nopriv_user=nobody
secure_chroot_dir=%[2]s
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
require_ssl_reuse=YES
rsa_cert_file=%[3]s
rsa_private_key_file=%[3]s
`

// The time-outs of checks here: of those that come to an end by themselves, also on a slow machine; of those that first have
// to get somewhere and then run into it; and of those that run into it at once.
const (
	patient = 20 * time.Second
	steady  = 8 * time.Second
	hasty   = 2 * time.Second
)

// failure is a pool of one backend that fails in its way.
type failure struct {
	name   string
	health string // keys, a line each
	start  func(t *testing.T, l *lab.Lab, b *lab.Backend, name string)
	step   judge.Step // "": it passes
	reason string
}

// TestChecksNameWhatFails has a backend for each way to fail. One round names them all in plain words, within the
// time-out and a second.
func TestChecksNameWhatFails(t *testing.T) {
	lab.Require(t, lab.Root, lab.NFT, lab.PyFTPDlib, lab.VSFTPD)
	talk := func(text string) func(*testing.T, *lab.Lab, *lab.Backend, string) {
		return func(t *testing.T, l *lab.Lab, b *lab.Backend, name string) {
			ready := filepath.Join(l.Dir, name+".ready")
			runOn(t, l, b, ready, lab.Python, "-c", talker, text, ready)
		}
	}
	ftp := func(rules string) func(*testing.T, *lab.Lab, *lab.Backend, string) {
		return func(t *testing.T, l *lab.Lab, b *lab.Backend, name string) {
			s, err := server.Start(t.Context(), l, b, server.VSFTPD, name)
			must(t, err)
			must(t, s.Put("file", []byte("hello")))
			if rules != "" {
				filter(t, b, rules)
			}
		}
	}
	const all = "check: ftp-transfer\npath: file\nsha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\n"
	tests := []failure{
		{"dead-host", "check: ftp-banner\n", func(t *testing.T, _ *lab.Lab, b *lab.Backend, _ string) { filter(t, b, "drop") },
			judge.StepConnect, "no answer within 2s: the host is down, or a firewall drops the packets"},
		{"closed-port", "check: ftp-banner\n", func(*testing.T, *lab.Lab, *lab.Backend, string) {},
			judge.StepConnect, "connection refused: nothing listens on port 21, or a firewall rejects it"},
		{"banner-421", "check: ftp-login\n", talk("421 too many\r\n"), judge.StepBanner, `the server takes no sessions now: it says 421 "too many"`},
		{"banner-never", "check: ftp-transfer\n", talk(""), judge.StepBanner, "connected, but no greeting within 2s"},
		{"login-refused", "check: ftp-login\nuser: probe\npassword: hunter2\n", ftp(""), judge.StepLogin, "login refused: the server answers "},
		{"data-dropped", all, ftp("tcp dport 1024-65535 ct state new drop"), judge.StepData,
			"no answer before the check's 8s were over: a firewall drops it; let the server's passive ports in"},
		{"data-rejected", all, ftp("tcp dport 1024-65535 ct state new reject with tcp reset"), judge.StepData, "refused: a firewall rejects it"},
		{"active-blocked", all + "modes: [pasv, port, eprt]\n", ftp(""), judge.StepData, "does not connect to "},
		{"wrong-file", "check: ftp-transfer\npath: file\nsha256: " + strings.Repeat("0", 64) + "\n", ftp(""), judge.StepContent,
			`the file "file" is another one: its SHA-256 is 2cf24dba`},
		{"no-file", "check: ftp-transfer\npath: none\n", ftp(""), judge.StepTransfer, ": RETR with 550"},
		{"expired", "check: ftp-login\ntls: {mode: explicit}\n", secured(-time.Hour), judge.StepTLS, "the certificate expired on "},
		{"untrusted", "check: ftp-login\ntls: {mode: explicit}\n", secured(time.Hour), judge.StepTLS, "signed by nobody that this host trusts"},
		{"secured", "check: ftp-transfer\npath: file\nsize: 5\ntls: {mode: explicit, ca: %s}\n", secured(time.Hour), "", ""},
		{"program", "check: exec\ncommand: [/bin/sh, -c, 'echo \"$FTPVIP_BACKEND is tired\"; exit 1']\n", ftp(""), judge.StepExec,
			`/bin/sh exited with status 1: "b is tired"`},
	}
	path, err := lab.FindProgram()
	must(t, err)
	l, err := lab.New(t.Context(), lab.Options{Backends: len(tests), Firewall: true})
	must(t, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	var config strings.Builder
	config.WriteString("vips: []\npools:\n")
	for i, tt := range tests {
		b := l.Backends[i]
		tt.start(t, l, b, tt.name)
		if strings.Contains(tt.health, "%s") {
			tt.health = fmt.Sprintf(tt.health, filepath.Join(l.Dir, tt.name+".pem"))
		}
		timeout := patient
		switch {
		case strings.Contains(tt.reason, "within 2s"):
			timeout = hasty
		case strings.Contains(tt.reason, "does not connect"), strings.Contains(tt.reason, "were over"):
			timeout = steady
		}
		fmt.Fprintf(&config, "- name: %s\n  backends: [{name: b, addresses: [%s, \"%s\"]}]\n  health:\n    timeout: %s\n    fall: 1\n",
			tt.name, b.Addrs.V4, b.Addrs.V6, timeout)
		for line := range strings.Lines(tt.health) {
			config.WriteString("    " + line)
		}
	}
	p, err := l.Program(path, config.String())
	must(t, err)
	r, err := p.Run(t.Context(), "health", "-o", "json")
	must(t, err)
	if r.Code != 1 {
		t.Fatalf("pools without a member, but status %d: %s", r.Code, r)
	}
	var report health.Report
	must(t, json.Unmarshal([]byte(r.Stdout), &report))
	if d := time.Duration(report.DurationMS) * time.Millisecond; d > patient+time.Second {
		t.Errorf("the round took %v", d)
	}
	for i, tt := range tests {
		b := report.Pools[i].Backends[0]
		for _, a := range b.Addresses {
			if most := time.Duration(report.Pools[i].TimeoutMS) * time.Millisecond; a.LatencyMS > millis(most+500*time.Millisecond) {
				t.Errorf("%s: %v took %v ms with a time-out of %v", tt.name, a.Address, a.LatencyMS, most)
			}
		}
		t.Logf("%-15s %s: %s", tt.name, b.Step, b.Reason)
		if b.Step != tt.step || !strings.Contains(b.Reason, tt.reason) {
			t.Errorf("%s: %s: %s\nwant %s: %s", tt.name, b.Step, b.Reason, tt.step, tt.reason)
		}
		if len(b.Addresses) != 2 || tt.step != "" && strings.Count(b.Reason, tt.reason) < 2 && tt.name != "active-blocked" {
			t.Errorf("%s: not both addresses: %s", tt.name, b.Reason)
		}
	}
	text, err := p.Run(t.Context(), "health", "--history")
	must(t, err)
	if n := strings.Count(text.Stdout, "unknown -> down"); n != len(tests)-1 {
		t.Errorf("%d of %d in the history\n%s", n, len(tests)-1, text)
	}
	for _, file := range []string{"health.json", "health-history.jsonl"} {
		state, err := os.ReadFile(filepath.Join(p.State, file))
		must(t, err)
		if strings.Contains(string(state)+r.Stdout+r.Stderr+text.Stdout, "hunter2") {
			t.Errorf("the password is in %s, or was printed", file)
		}
	}
}

func millis(d time.Duration) float64 { return float64(d.Milliseconds()) }

// runOn starts a server of our own and waits for the file that it makes.
func runOn(t *testing.T, l *lab.Lab, b *lab.Backend, ready string, args ...string) {
	t.Helper()
	_, err := b.Start(l.Context(), lab.Command{Args: args})
	must(t, err)
	for range 500 {
		if _, err := os.Stat(ready); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s does not get ready", args)
}

// filter gives a backend a firewall of its own.
func filter(t *testing.T, b *lab.Backend, rule string) {
	t.Helper()
	text := "table inet own { chain in { type filter hook input priority filter; meta l4proto { icmp, ipv6-icmp } accept; " + rule + "; }; }\n"
	r, err := b.Run(t.Context(), lab.Command{Args: []string{"nft", "-f", "-"}, Stdin: strings.NewReader(text)})
	must(t, err)
	if r.Code != 0 {
		t.Fatal(r)
	}
}

// secured starts vsftpd with a certificate that is valid for so long; the certificate's file is named as the pool.
func secured(left time.Duration) func(*testing.T, *lab.Lab, *lab.Backend, string) {
	return func(t *testing.T, l *lab.Lab, b *lab.Backend, name string) {
		root, err := l.Mkdir(name)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(root, "file"), []byte("hello"), 0o644))
		empty, err := l.Mkdir(name + ".empty")
		must(t, err)
		cert, conf := filepath.Join(l.Dir, name+".pem"), filepath.Join(l.Dir, name+".conf")
		must(t, os.WriteFile(cert, selfSigned(t, b.Addrs, time.Now().Add(left)), 0o600))
		must(t, os.WriteFile(conf, fmt.Appendf(nil, tlsServer, root, empty, cert), 0o600))
		_, err = b.Start(l.Context(), lab.Command{Args: []string{"vsftpd", conf}})
		must(t, err)
		for range 500 {
			if c, err := b.Dial(t.Context(), b.Addrs.V6, netip.AddrPortFrom(b.Addrs.V6, server.Port)); err == nil {
				_ = c.Close()
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatal("vsftpd does not get ready")
	}
}

// selfSigned makes a certificate and its key, in one file.
func selfSigned(t *testing.T, a configs.Addrs, until time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab"}, NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	for _, addr := range a.All() {
		template.IPAddresses = append(template.IPAddresses, net.IP(addr.AsSlice()))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
}
