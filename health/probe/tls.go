package probe

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"ftpvip/configs"
	"ftpvip/health/judge"
)

var tlsVersions = map[string]uint16{
	"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13,
}

// tlsConfig is for all connections of one session, so that data connections resume the control connection's TLS
// session: servers demand that, to know that both are the same client's.
func (sp *Spec) tlsConfig(addr netip.Addr) (*tls.Config, error) {
	h := sp.Health.TLS
	if h.Mode == configs.TLSNone {
		return nil, nil
	}
	roots, err := sp.roots()
	if err != nil {
		return nil, err
	}
	c := &tls.Config{
		RootCAs: roots, ServerName: h.ServerName, MinVersion: tlsVersions[h.MinVersion], ClientSessionCache: &firstSession{},
	}
	if c.ServerName == "" {
		c.ServerName = addr.String()
	}
	if h.Pin != "" {
		c.InsecureSkipVerify = true // the fingerprint below is stricter
		c.VerifyConnection = func(state tls.ConnectionState) error {
			sum := sha256.Sum256(state.PeerCertificates[0].Raw)
			if got := hex.EncodeToString(sum[:]); got != h.Pin {
				return &pinError{got}
			}
			return nil
		}
	}
	return c, nil
}

// pinError says that the certificate is another one than the pinned.
type pinError struct{ got string }

func (e *pinError) Error() string {
	return "the certificate is not the pinned one: its SHA-256 is " + e.got
}

// firstSession keeps the last session of the control connection and gives it out as often as it is asked. In TLS 1.3
// the ticket comes with the first answer after the handshake.
type firstSession struct {
	mu    sync.Mutex
	state *tls.ClientSessionState
}

// Get implements tls.ClientSessionCache.
func (f *firstSession) Get(string) (*tls.ClientSessionState, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state, f.state != nil
}

// Put implements tls.ClientSessionCache. A nil state takes a session back that the server did not like.
func (f *firstSession) Put(_ string, state *tls.ClientSessionState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if state != nil {
		f.state = state
	}
}

// secure starts TLS on a connection; what names it in errors.
func (s *session) secure(conn net.Conn, what string) (net.Conn, error) {
	secured := tls.Client(conn, s.tls)
	if err := secured.HandshakeContext(s.ctx); err != nil {
		return nil, failed(judge.StepTLS, what+": "+s.explainTLS(err), err)
	}
	return secured, nil
}

// explainTLS turns the error of a handshake into words.
func (s *session) explainTLS(err error) string {
	var (
		invalid  x509.CertificateInvalidError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		record   tls.RecordHeaderError
		pin      *pinError
		remote   *net.OpError
	)
	switch {
	case isTimeout(err):
		return fmt.Sprintf("no TLS handshake before the check's %v were over", s.t.Timeout)
	case errors.As(err, &pin):
		return pin.Error()
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore):
		return "the certificate is not valid before " + day(invalid.Cert.NotBefore)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate expired on " + day(invalid.Cert.NotAfter)
	case errors.As(err, &unknown):
		return "the certificate is signed by nobody that this host trusts; set tls.ca or tls.pin"
	case errors.As(err, &hostname):
		names := hostname.Certificate.DNSNames
		for _, ip := range hostname.Certificate.IPAddresses {
			names = append(names, ip.String())
		}
		if len(names) == 0 {
			names = []string{"no name at all"}
		}
		return fmt.Sprintf("the certificate is for %s and not for %s; set tls.server_name", Quote(strings.Join(names, ", ")), hostname.Host)
	case errors.As(err, &record):
		return "the server does not speak TLS here"
	case errors.As(err, &remote) && remote.Op == "remote error": // an alert
		return fmt.Sprintf("the server breaks the handshake off: %v; see tls.min_version, which is %s", err, s.t.Spec.Health.TLS.MinVersion)
	}
	return err.Error()
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
