package probe

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	ftpserver "github.com/fclairamb/ftpserverlib"
	"github.com/spf13/afero"

	"ftpvip/configs"
)

const secret = "hunter2"

// ftpd is a whole FTP server for one test.
type ftpd struct {
	settings ftpserver.Settings
	tls      *tls.Config
	fs       afero.Fs
}

func (d *ftpd) GetSettings() (*ftpserver.Settings, error)               { return &d.settings, nil }
func (d *ftpd) ClientConnected(ftpserver.ClientContext) (string, error) { return "test", nil }
func (d *ftpd) ClientDisconnected(ftpserver.ClientContext)              {}
func (d *ftpd) GetTLSConfig() (*tls.Config, error)                      { return d.tls, nil }
func (d *ftpd) AuthUser(_ ftpserver.ClientContext, user, pass string) (ftpserver.ClientDriver, error) {
	if user != "probe" || pass != secret {
		return nil, errors.New("no such user " + user + " with " + pass) // servers should not say that, and some do
	}
	return d.fs, nil
}

// startFTP runs d on host and returns where.
func startFTP(t *testing.T, host string, d *ftpd) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	d.settings.Listener = l
	if d.settings.TLSRequired == ftpserver.ImplicitEncryption {
		d.settings.Listener = tls.NewListener(l, d.tls)
	}
	d.settings.ActiveTransferPortNon20 = true
	d.settings.DefaultTransferType = ftpserver.TransferTypeBinary
	d.fs = afero.NewMemMapFs()
	for _, err := range []error{
		afero.WriteFile(d.fs, "/check.txt", []byte("hello"), 0o644), d.fs.MkdirAll("/in", 0o755), d.fs.MkdirAll("/pub", 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s := ftpserver.NewFtpServer(d)
	s.Logger = slog.New(slog.DiscardHandler)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve() }()
	t.Cleanup(func() { _ = s.Stop() })
	return netip.MustParseAddrPort(l.Addr().String())
}

// certificate makes a self-signed one for the loopback addresses; its file is its own authority.
func certificate(t *testing.T, until time.Time) (c tls.Certificate, file, pin string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
		DNSNames: []string{"ftp.example.net"}, IPAddresses: []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP("::1")},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file, hex.EncodeToString(sum[:])
}

// transferHealth is a pool's health with a login that works.
func transferHealth() configs.Health {
	return configs.Health{
		Timeout: time.Minute, User: "probe", Password: secret, TLS: configs.TLS{Mode: configs.TLSNone, MinVersion: "1.2"},
		Modes: []configs.DataMode{configs.ModePASV, configs.ModeEPSV, configs.ModePORT, configs.ModeEPRT},
	}
}

// targetOf is a target as a round makes it.
func targetOf(at netip.AddrPort, h configs.Health) Target {
	b := configs.Backend{Name: "b", Port: at.Port(), Addrs: configs.Addrs{V4: at.Addr()}}
	if at.Addr().Is6() {
		b.Addrs = configs.Addrs{V6: at.Addr()}
	}
	pool := &configs.Pool{Name: "farm", Health: h, Backends: []configs.Backend{b},
		VIPs: []*configs.VIP{{Application: configs.FTPControl}}}
	return Target{Addr: at, Timeout: h.Timeout, Spec: Specs(pool)(b)}
}
