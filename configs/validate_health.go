package configs

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The words that the keys of health take.
var (
	checks      = []Check{CheckNone, CheckTCP, CheckFTPBanner, CheckFTPLogin, CheckFTPTransfer, CheckExec}
	throughs    = []Through{ThroughBackend, ThroughVIP}
	tlsModes    = []TLSMode{TLSNone, TLSExplicit, TLSImplicit}
	tlsVersions = []string{"1.0", "1.1", "1.2", "1.3"}
	dataModes   = []DataMode{ModePASV, ModeEPSV, ModePORT, ModeEPRT}
	onDowns     = []OnDown{DownKeep, DownReset}
	onAllDowns  = []OnAllDown{AllDownEmpty, AllDownFallback, AllDownKeepLast}
)

// Defaults and limits of health.
const (
	defaultTimeout  = 3 * time.Second
	defaultRise     = 2
	defaultFall     = 3
	defaultInterval = 5 * time.Second
	defaultJitter   = 10
	defaultUser     = "anonymous"
	defaultPassword = Secret("ftpvip@") // RFC 1635 asks anonymous users for an address
	defaultVersion  = "1.2"
	minTimeout      = 10 * time.Millisecond
	maxTimeout      = 5 * time.Minute
	minInterval     = 50 * time.Millisecond
	maxInterval     = time.Hour
	minWindow       = time.Second
	maxWindow       = 24 * time.Hour
)

func intervalSpan(byDefault time.Duration) span {
	return span{
		least: minInterval, most: maxInterval, byDefault: byDefault, want: wantInterval,
		form:  "write a number with its unit, such as 5s or 200ms",
		short: "use 50ms or more; 5s suits most",
		long:  "use 1h or less; 5s suits most",
	}
}

var windowSpan = span{
	least: minWindow, most: maxWindow, want: wantWindow,
	form:  "write a number with its unit, such as 10m",
	short: "use 1s or more; 10m suits most",
	long:  "use 24h or less; 10m suits most",
}

// health checks what can be judged without the VIPs.
func (c *checker) health(raw rawHealth) Health {
	h := Health{
		Check:   choose(c.report, raw.check, checks, ""),
		Timeout: c.duration(raw.timeout, timeoutSpan),
		Rise:    or(raw.rise, defaultRise),
		Fall:    or(raw.fall, defaultFall),

		Interval: c.duration(raw.interval, intervalSpan(defaultInterval)),
		Jitter:   or(raw.jitter, defaultJitter),
		Source:   c.addrs(raw.source, addrUse{want: wantSource}),
		Through:  choose(c.report, raw.through, throughs, ThroughBackend),

		User:         c.line(raw.user, defaultUser, wantUser),
		Password:     Secret(c.line(raw.password, "", wantLine)),
		PasswordFile: c.file(raw.passwordFile),
		TLS:          c.tls(raw.tls),

		Modes:  c.modes(raw.modes),
		Path:   c.line(raw.path, "", wantPath),
		Size:   int64(or(raw.size, 0)),
		SHA256: c.fingerprint(raw.sha256, wantSHA256),
		Store:  c.line(raw.store, "", wantStore),

		Command:   c.command(raw.command),
		Flap:      c.flap(raw.flap),
		OnAllDown: choose(c.report, raw.onAllDown, onAllDowns, ""),
		OnDown:    choose(c.report, raw.onDown, onDowns, DownKeep),
		Notify:    c.command(raw.notify),
	}
	h.IntervalDown = c.duration(raw.intervalDown, intervalSpan(h.Interval))
	c.credentials(&h, raw)
	return h
}

// line takes text that goes over the wire in one line.
func (c *checker) line(f field[string], byDefault, want string) string {
	if f.state != given {
		return byDefault
	}
	if strings.ContainsFunc(f.val, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		c.at(f.pos, "contains a line break or another control character", want, "delete it")
		return byDefault
	}
	if f.val == "" {
		c.at(f.pos, "is empty", want, "give it a value, or delete the key")
	}
	return f.val
}

func (c *checker) file(f field[string]) string {
	if f.state == given && !filepath.IsAbs(f.val) {
		c.at(f.pos, "is not an absolute path", wantFile, "start it with /")
	}
	return f.val
}

// credentials fills in what belongs to an anonymous user.
func (c *checker) credentials(h *Health, raw rawHealth) {
	switch {
	case raw.password.state == given && raw.passwordFile.state == given:
		c.at(raw.passwordFile.pos, "password is given as well", wantFile, "keep one of the two; a file can be readable by root alone")
	case raw.password.state != absent || raw.passwordFile.state != absent:
	case raw.user.state == given && h.User != defaultUser && h.User != "ftp":
		c.at(raw.user.pos, "has no password", wantUser, "add password_file, or password")
	default:
		h.Password = defaultPassword
	}
}

func (c *checker) tls(raw rawTLS) TLS {
	t := TLS{
		Mode:       choose(c.report, raw.mode, tlsModes, TLSNone),
		CA:         c.file(raw.ca),
		ServerName: c.line(raw.serverName, "", wantTLSName),
		MinVersion: or(raw.minVersion, defaultVersion),
		Pin:        c.fingerprint(raw.pin, wantPin),
	}
	if !slices.Contains(tlsVersions, t.MinVersion) {
		c.at(raw.minVersion.pos, "is no version of TLS", list(tlsVersions), "use 1.2, unless the server is too old for it")
	}
	c.required(raw.mode.pos, missing(raw.at.state, raw.mode.state), list(tlsModes), "add it: mode: explicit suits port 21, implicit port 990")
	if t.Mode == TLSNone && raw.mode.state == given {
		for _, f := range []field[string]{raw.ca, raw.serverName, raw.minVersion, raw.pin} {
			if f.state == given {
				c.at(f.pos, "has no effect with mode: none", "", "delete it, or use mode: explicit or implicit")
			}
		}
	}
	if t.Pin != "" {
		for _, f := range []field[string]{raw.ca, raw.serverName} {
			if f.state == given {
				c.at(f.pos, "has no effect beside pin, which trusts one certificate whatever it says", "", "keep one of the two")
			}
		}
	}
	return t
}

// missing is absent for a key that is needed, within a section that is there, and is not.
func missing(section, key state) state {
	if section == given {
		return key
	}
	return bad
}

var hexSum = regexp.MustCompile(`^[0-9a-f]{64}$`)

// fingerprint takes a SHA-256 in hex, also with colons as openssl prints it.
func (c *checker) fingerprint(f field[string], want string) string {
	if f.state != given {
		return ""
	}
	sum := strings.ToLower(strings.ReplaceAll(f.val, ":", ""))
	if !hexSum.MatchString(sum) {
		c.at(f.pos, "is not a SHA-256", want, "copy it from sha256sum, or from openssl x509 -noout -fingerprint -sha256")
		return ""
	}
	return sum
}

func (c *checker) modes(l items[field[string]]) []DataMode {
	if l.state == absent {
		return []DataMode{ModePASV, ModeEPSV}
	}
	if l.state == given && len(l.all) == 0 {
		c.at(l.pos, "the list is empty", list(dataModes), "name a mode, or use check: ftp-login")
	}
	var modes []DataMode
	for _, f := range l.all {
		m := choose(c.report, f, dataModes, "")
		if slices.Contains(modes, m) {
			c.at(f.pos, "is in the list already", list(dataModes), "delete it")
		} else if m != "" {
			modes = append(modes, m)
		}
	}
	return modes
}

func (c *checker) command(l items[field[string]]) []string {
	if l.state == given && len(l.all) == 0 {
		c.at(l.pos, "the list is empty", wantCommand, "name a program, or delete the key")
	}
	var words []string
	for _, f := range l.all {
		words = append(words, f.val)
	}
	if len(words) > 0 && l.all[0].state == given && !filepath.IsAbs(words[0]) {
		c.at(l.all[0].pos, "is not an absolute path", wantCommand, "start it with /")
	}
	return words
}

func (c *checker) flap(raw rawFlap) Flap {
	c.required(raw.changes.pos, missing(raw.at.state, raw.changes.state), changesBounds.String(), "add it, such as: changes: 5")
	c.required(raw.window.pos, missing(raw.at.state, raw.window.state), wantWindow, "add it, such as: window: 10m")
	f := Flap{
		Changes: or(raw.changes, 0),
		Window:  c.duration(raw.window, windowSpan),
	}
	if f.Changes == 0 || f.Window == 0 {
		return Flap{}
	}
	return f
}

// healthCheck picks the default check, and refuses what the servers cannot pass or the check does not read.
func (c *checker) healthCheck(p *Pool, raw rawPool, users []VIP) {
	h := raw.health
	ftp := slices.ContainsFunc(users, func(v VIP) bool { return v.Application == FTPControl })
	switch {
	case h.check.state == absent && ftp:
		p.Health.Check = CheckFTPBanner
	case h.check.state == absent:
		p.Health.Check = CheckTCP
	case len(users) > 0 && !ftp && slices.Contains([]Check{CheckFTPBanner, CheckFTPLogin, CheckFTPTransfer}, p.Health.Check):
		c.at(h.check.pos, fmt.Sprintf("the pool serves application tcp only (VIP %s)", users[0].Name),
			list([]Check{CheckNone, CheckTCP, CheckExec}), "use check: tcp")
	}
	c.unread(p.Health.Check, h)
	c.healthFamilies(p, h)
	c.checkSource(p, raw)
	c.allDown(p, raw)
	if h.source.state == absent && p.Health.Through == ThroughVIP {
		p.Health.Source = p.SNAT.Addrs // what the server sees has as many digits then as what the check says in PORT
	}
	if p.Health.Check == CheckExec {
		c.required(h.command.pos, h.command.state, wantCommand, "add it, such as: command: [/usr/local/sbin/check-ftp]")
	}
	if p.Health.Through == ThroughVIP && len(users) == 0 {
		c.at(h.through.pos, "no VIP uses this pool", list(throughs), "use through: backend, or let a VIP use the pool")
	}
}

// allDown makes on_all_down and fallback agree.
func (c *checker) allDown(p *Pool, raw rawPool) {
	f := raw.health.onAllDown
	switch p.Health.OnAllDown {
	case "":
		p.Health.OnAllDown = AllDownEmpty
		if p.Fallback != "" {
			p.Health.OnAllDown = AllDownFallback
		}
	case AllDownFallback:
		if raw.fallback.state == absent {
			c.at(f.pos, "the pool has no fallback", list(onAllDowns), "add fallback: POOL to the pool, or use empty or keep-last")
		}
	case AllDownEmpty, AllDownKeepLast:
		if raw.fallback.state == given {
			c.at(f.pos, fmt.Sprintf("the pool has a fallback (%s), which serves then", quoted(p.Fallback)), list(onAllDowns),
				"use on_all_down: fallback, or delete the pool's fallback")
		}
	}
}

// unread reports keys that the check does not read.
func (c *checker) unread(check Check, h rawHealth) {
	login := []Check{CheckFTPLogin, CheckFTPTransfer}
	transfer := []Check{CheckFTPTransfer}
	network := []Check{CheckTCP, CheckFTPBanner, CheckFTPLogin, CheckFTPTransfer}
	for _, k := range []struct {
		pos
		state
		of []Check
	}{
		{h.source.pos, h.source.state, network},
		{h.through.pos, h.through.state, network},
		{h.user.pos, h.user.state, login},
		{h.password.pos, h.password.state, login},
		{h.passwordFile.pos, h.passwordFile.state, login},
		{h.tls.at.pos, h.tls.at.state, login},
		{h.modes.pos, h.modes.state, transfer},
		{h.path.pos, h.path.state, transfer},
		{h.size.pos, h.size.state, transfer},
		{h.sha256.pos, h.sha256.state, transfer},
		{h.store.pos, h.store.state, transfer},
		{h.command.pos, h.command.state, []Check{CheckExec}},
	} {
		if k.state == given && check != "" && !slices.Contains(k.of, check) {
			c.at(k.pos, fmt.Sprintf("has no effect with check: %s", check), "with check: "+list(k.of)+" only",
				"delete the key, or use another check")
		}
	}
	folder := h.path.state == absent || h.path.state == given && (h.path.val == "" || strings.HasSuffix(h.path.val, "/"))
	if check == CheckFTPTransfer && folder {
		for _, f := range []struct {
			pos
			state
		}{{h.size.pos, h.size.state}, {h.sha256.pos, h.sha256.state}} {
			if f.state == given {
				c.at(f.pos, "has no effect without the path of a file: a listing is never the same", "", "add path, or delete the key")
			}
		}
	}
}

// healthFamilies reports backends whose addresses no mode of the check can speak with.
func (c *checker) healthFamilies(p *Pool, h rawHealth) {
	if p.Health.Check != CheckFTPTransfer || len(p.Health.Modes) == 0 {
		return
	}
	speaks := func(m DataMode) bool { return m.Speaks(IPv6) }
	if anyBackend(p, IPv6) && !slices.ContainsFunc(p.Health.Modes, speaks) {
		c.at(h.modes.pos, "no mode for IPv6, but a backend has an IPv6 address", list(dataModes), "add epsv or eprt")
	}
}

// checkSource reports sources that are a backend's address: answers would stay with it.
func (c *checker) checkSource(p *Pool, raw rawPool) {
	for _, a := range p.Health.Source.All() {
		if ref := c.backendAt(a); ref != (Ref{}) {
			c.at(where(raw.health.source, a), fmt.Sprintf("is the address of backend %s", ref), wantSource, "use an address of this host")
		}
	}
}

func (c *checker) backendAt(a netip.Addr) Ref {
	for _, p := range c.cfg.Pools {
		for _, b := range p.Backends {
			if b.Addrs.Has(a) {
				return Ref{p.Name, b.Name}
			}
		}
	}
	return Ref{}
}
