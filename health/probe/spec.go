package probe

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"ftpvip/configs"
	"ftpvip/configs/statedir"
)

// Spec is what the bigger checks need to know of a backend and its pool. A round makes one for each backend.
type Spec struct {
	Pool    string
	Backend configs.Backend
	Health  configs.Health
	Named   []netip.Addr // addresses that a reply to PASV may name; empty: any

	password func() (string, error)         // both read their files once a round
	roots    func() (*x509.CertPool, error) // nil, nil: the system's
}

// Specs returns what makes the specs of a pool's backends.
func Specs(pool *configs.Pool) func(b configs.Backend) *Spec {
	h := pool.Health
	password := sync.OnceValues(func() (string, error) { return readPassword(h) })
	roots := sync.OnceValues(func() (*x509.CertPool, error) { return readRoots(h.TLS.CA) })
	return func(b configs.Backend) *Spec {
		return &Spec{Pool: pool.Name, Backend: b, Health: h, Named: named(pool, b), password: password, roots: roots}
	}
}

// named lists what a client may be told in a reply to PASV. Straight from the backend: its own address, its aliases
// and its VIPs, which is what the helper takes. Through a VIP: what the helper makes of it. Nobody reads the
// replies of a pool without FTP VIPs.
func named(pool *configs.Pool, b configs.Backend) []netip.Addr {
	var vips []netip.Addr
	for _, v := range pool.VIPs {
		if v.Application == configs.FTPControl {
			vips = append(vips, v.Addrs.V4)
			if v.Advertise.IsValid() {
				vips = append(vips, v.Advertise)
			}
		}
	}
	if pool.Health.Through == configs.ThroughVIP || len(vips) == 0 {
		return vips
	}
	return slices.Concat([]netip.Addr{b.Addrs.V4}, b.Aliases, vips)
}

// Bounds of files that a configuration names, in bytes. Debian's list of authorities has some 220 KiB.
const (
	maxSecret = 64 << 10
	maxRoots  = 8 << 20
)

// readPassword returns the password, or the first line of its file. Errors name the file and never its content.
func readPassword(h configs.Health) (string, error) {
	if h.PasswordFile == "" {
		return string(h.Password), nil
	}
	b, err := statedir.ReadRegular(h.PasswordFile, maxSecret)
	if err != nil {
		return "", fmt.Errorf("password_file: %w", err)
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return "", fmt.Errorf("password_file %s: its first line is empty", h.PasswordFile)
	}
	return string(line), nil
}

func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := statedir.ReadRegular(file, maxRoots)
	if err != nil {
		return nil, fmt.Errorf("tls.ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tls.ca %s: %w", file, errNoCertificate)
	}
	return pool, nil
}

var errNoCertificate = errors.New("it holds no certificate in PEM form")
