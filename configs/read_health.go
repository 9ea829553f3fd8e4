package configs

import (
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
	switches    = []string{"on", "off"}
	onAllDowns  = []OnAllDown{AllDownEmpty, AllDownFallback, AllDownKeepLast}
)

// The checks that read some keys and others do not.
var (
	transferChecks = []Check{CheckFTPTransfer}
	loginChecks    = []Check{CheckFTPLogin, CheckFTPTransfer}
	networkChecks  = []Check{CheckTCP, CheckFTPBanner, CheckFTPLogin, CheckFTPTransfer}
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

// The numbers that keys of health allow.
var (
	countBounds   = bounds{1, 100} // rise and fall
	jitterBounds  = bounds{0, 50}
	sizeBounds    = bounds{1, 1 << 30}
	changesBounds = bounds{1, 1000}
)

// What they allow, in an admin's words.
const (
	wantTimeout  = "10ms..5m"
	wantInterval = "50ms..1h"
	wantWindow   = "1s..24h"
	wantSource   = "an address of this host | a list with one address of each family"
	wantUser     = "a user's name"
	wantLine     = "text in one line"
	wantFile     = "the absolute path of a file"
	wantTLSName  = "the host name or address that the certificate is for"
	wantPin      = "64 hexadecimal digits, the SHA-256 of the server's certificate"
	wantSHA256   = "64 hexadecimal digits, as sha256sum prints them"
	wantPath     = "the path of a file on the server, or of a folder with / at its end"
	wantStore    = "a path on the server; a word that tells hosts apart is put behind it"
	wantCommand  = "a list: the absolute path of a program, and its arguments"
)

// rawHealth has the keys of health that later checks come back to.
type rawHealth struct {
	check     field[string]
	source    items[field[string]]
	through   field[string]
	modes     items[field[string]]
	onAllDown field[string]
	readBy    []readBy
}

// readBy is a key that some checks read and others do not.
type readBy struct {
	pos
	state
	checks []Check
}

// only notes which checks read a key.
func (raw *rawHealth) only(checks []Check, at pos, s state) {
	raw.readBy = append(raw.readBy, readBy{at, s, checks})
}

// health checks what can be judged without the VIPs.
func (c *checker) health(s *section) (h Health, raw rawHealth) {
	raw.check = s.text("check", list(checks))
	h.Check = choose(c.report, raw.check, checks, "")
	h.Timeout = c.duration(s.duration("timeout", timeoutSpan), timeoutSpan)
	h.Rise = or(s.number("rise", countBounds), defaultRise)
	h.Fall = or(s.number("fall", countBounds), defaultFall)
	h.Interval = c.duration(s.duration("interval", intervalSpan(defaultInterval)), intervalSpan(defaultInterval))
	h.IntervalDown = c.duration(s.duration("interval_down", intervalSpan(h.Interval)), intervalSpan(h.Interval))
	h.Jitter = or(s.number("jitter", jitterBounds), defaultJitter)
	raw.source, _ = s.oneOrMore("source", wantSource)
	raw.only(networkChecks, raw.source.pos, raw.source.state)
	h.Source = c.addrs(raw.source, addrUse{want: wantSource})
	raw.through = s.text("through", list(throughs))
	raw.only(networkChecks, raw.through.pos, raw.through.state)
	h.Through = choose(c.report, raw.through, throughs, ThroughBackend)
	c.credentials(s, &h, &raw)
	s.section("tls", func(s *section) {
		raw.only(loginChecks, s.pos, s.state)
		h.TLS = c.tls(s)
	})
	c.transfer(s, &h, &raw)
	command := s.texts("command", wantCommand)
	raw.only([]Check{CheckExec}, command.pos, command.state)
	h.Command = c.command(command)
	if h.Check == CheckExec {
		c.required(command.pos, command.state, wantCommand, "add it, such as: command: [/usr/local/sbin/check-ftp]")
	}
	s.section("flap", func(s *section) { h.Flap = c.flap(s) })
	raw.onAllDown = s.text("on_all_down", list(onAllDowns))
	h.OnAllDown = choose(c.report, raw.onAllDown, onAllDowns, "")
	h.OnDown = choose(c.report, s.text("on_down", list(onDowns)), onDowns, DownKeep)
	h.Notify = c.command(s.texts("notify", wantCommand))
	h.Restore = choose(c.report, s.text("restore", list(switches)), switches, "on") == "on"
	return h, raw
}

// transfer reads what ftp-transfer does after it has logged in.
func (c *checker) transfer(s *section, h *Health, raw *rawHealth) {
	raw.modes = s.texts("modes", list(dataModes))
	raw.only(transferChecks, raw.modes.pos, raw.modes.state)
	h.Modes = c.modes(raw.modes)
	path := s.text("path", wantPath)
	raw.only(transferChecks, path.pos, path.state)
	h.Path = c.line(path, "", wantPath)
	size := s.number("size", sizeBounds)
	raw.only(transferChecks, size.pos, size.state)
	h.Size = int64(or(size, 0))
	sum := s.word("sha256", wantSHA256)
	raw.only(transferChecks, sum.pos, sum.state)
	h.SHA256 = c.fingerprint(sum, wantSHA256)
	store := s.text("store", wantStore)
	raw.only(transferChecks, store.pos, store.state)
	h.Store = c.line(store, "", wantStore)

	folder := path.state == absent || path.state == given && (path.val == "" || strings.HasSuffix(path.val, "/"))
	if h.Check != CheckFTPTransfer || !folder {
		return
	}
	const message, remedy = "has no effect without the path of a file: a listing is never the same", "add path, or delete the key"
	if size.state == given {
		c.at(size.pos, message, "", remedy)
	}
	if sum.state == given {
		c.at(sum.pos, message, "", remedy)
	}
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

func (c *checker) absolute(f field[string]) string {
	if f.state == given && !filepath.IsAbs(f.val) {
		c.at(f.pos, "is not an absolute path", wantFile, "start it with /")
	}
	return f.val
}

// credentials reads who logs in, and fills in what belongs to an anonymous user.
func (c *checker) credentials(s *section, h *Health, raw *rawHealth) {
	user := s.text("user", wantUser)
	raw.only(loginChecks, user.pos, user.state)
	h.User = c.line(user, defaultUser, wantUser)
	password := s.word("password", wantLine)
	raw.only(loginChecks, password.pos, password.state)
	h.Password = Secret(c.line(password, "", wantLine))
	file := s.text("password_file", wantFile)
	raw.only(loginChecks, file.pos, file.state)
	h.PasswordFile = c.absolute(file)
	switch {
	case password.state == given && file.state == given:
		c.at(file.pos, "password is given as well", wantFile, "keep one of the two; a file can be readable by root alone")
	case password.state != absent || file.state != absent:
	case user.state == given && h.User != defaultUser && h.User != "ftp":
		c.at(user.pos, "has no password", wantUser, "add password_file, or password")
	default:
		h.Password = defaultPassword
	}
}

func (c *checker) tls(s *section) (t TLS) {
	mode := s.text("mode", list(tlsModes))
	t.Mode = choose(c.report, mode, tlsModes, TLSNone)
	ca := s.text("ca", wantFile)
	t.CA = c.absolute(ca)
	name := s.text("server_name", wantTLSName)
	t.ServerName = c.line(name, "", wantTLSName)
	version := s.word("min_version", list(tlsVersions))
	t.MinVersion = or(version, defaultVersion)
	pin := s.word("pin", wantPin)
	t.Pin = c.fingerprint(pin, wantPin)
	if !slices.Contains(tlsVersions, t.MinVersion) {
		c.at(version.pos, "is no version of TLS", list(tlsVersions), "use 1.2, unless the server is too old for it")
	}
	if s.state == given {
		c.required(mode.pos, mode.state, list(tlsModes), "add it: mode: explicit suits port 21, implicit port 990")
	}
	if t.Mode == TLSNone && mode.state == given {
		for _, f := range []field[string]{ca, name, version, pin} {
			if f.state == given {
				c.at(f.pos, "has no effect with mode: none", "", "delete it, or use mode: explicit or implicit")
			}
		}
	}
	if t.Pin != "" {
		for _, f := range []field[string]{ca, name} {
			if f.state == given {
				c.at(f.pos, "has no effect beside pin, which trusts one certificate whatever it says", "", "keep one of the two")
			}
		}
	}
	return t
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

func (c *checker) flap(s *section) Flap {
	changes := s.number("changes", changesBounds)
	window := s.duration("window", windowSpan)
	if s.state == given {
		c.required(changes.pos, changes.state, changesBounds.String(), "add it, such as: changes: 5")
		c.required(window.pos, window.state, wantWindow, "add it, such as: window: 10m")
	}
	f := Flap{Changes: or(changes, 0), Window: c.duration(window, windowSpan)}
	if f.Changes == 0 || f.Window == 0 {
		return Flap{}
	}
	return f
}
