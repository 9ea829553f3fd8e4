package configs

import "go.yaml.in/yaml/v3"

type rawHealth struct {
	pos
	check, timeout         field[string]
	rise, fall             field[int]
	interval, intervalDown field[string]
	jitter                 field[int]
	source                 items[field[string]] // a single value is a list of one
	through                field[string]
	user, password         field[string]
	passwordFile           field[string]
	tls                    rawTLS
	modes                  items[field[string]]
	path                   field[string]
	size                   field[int]
	sha256, store          field[string]
	command                items[field[string]]
	flap                   rawFlap
	onAllDown, onDown      field[string]
	notify                 items[field[string]]
}

type rawTLS struct {
	at                               field[struct{}] // whether the section is there
	mode, ca, serverName, minVersion field[string]
	pin                              field[string]
}

type rawFlap struct {
	at      field[struct{}]
	changes field[int]
	window  field[string]
}

// The keys, in the order of the reference file.
var (
	healthKeys = []string{"check", "timeout", "rise", "fall", "interval", "interval_down", "jitter", "source", "through",
		"user", "password", "password_file", "tls", "modes", "path", "size", "sha256", "store", "command",
		"flap", "on_all_down", "on_down", "notify"}
	tlsKeys  = []string{"mode", "ca", "server_name", "min_version", "pin"}
	flapKeys = []string{"changes", "window"}
)

// The numbers that are allowed.
var (
	countBounds   = bounds{1, 100} // rise and fall
	jitterBounds  = bounds{0, 50}
	sizeBounds    = bounds{1, 1 << 30}
	changesBounds = bounds{1, 1000}
)

// What is allowed, in an admin's words.
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

func (d *decoder) health(o object) rawHealth {
	h := rawHealth{
		pos:          o.pos,
		check:        d.text(o, "check", list(checks)),
		timeout:      d.duration(o, "timeout", wantTimeout),
		rise:         d.number(o, "rise", countBounds),
		fall:         d.number(o, "fall", countBounds),
		interval:     d.duration(o, "interval", wantInterval),
		intervalDown: d.duration(o, "interval_down", wantInterval),
		jitter:       d.number(o, "jitter", jitterBounds),
		through:      d.text(o, "through", list(throughs)),
		user:         d.text(o, "user", wantUser),
		password:     d.word(o, "password", wantLine),
		passwordFile: d.text(o, "password_file", wantFile),
		modes:        d.texts(o, "modes", list(dataModes)),
		path:         d.text(o, "path", wantPath),
		size:         d.number(o, "size", sizeBounds),
		sha256:       d.word(o, "sha256", wantSHA256),
		store:        d.text(o, "store", wantStore),
		command:      d.texts(o, "command", wantCommand),
		onAllDown:    d.text(o, "on_all_down", list(onAllDowns)),
		onDown:       d.text(o, "on_down", list(onDowns)),
		notify:       d.texts(o, "notify", wantCommand),
	}
	if n, ok := o.keys["source"]; ok && n.Kind != yaml.SequenceNode {
		one := d.textNode(n, join(o.path, "source"), wantSource)
		h.source = items[field[string]]{pos: one.pos, state: one.state, all: []field[string]{one}}
	} else {
		h.source = d.texts(o, "source", wantSource)
	}
	if n, ok := o.keys["tls"]; ok {
		h.tls.at = field[struct{}]{pos: place(n, join(o.path, "tls")), state: given}
		s := d.section(o, "tls", tlsKeys)
		h.tls.mode = d.text(s, "mode", list(tlsModes))
		h.tls.ca = d.text(s, "ca", wantFile)
		h.tls.serverName = d.text(s, "server_name", wantTLSName)
		h.tls.minVersion = d.word(s, "min_version", list(tlsVersions))
		h.tls.pin = d.word(s, "pin", wantPin)
	}
	if n, ok := o.keys["flap"]; ok {
		h.flap.at = field[struct{}]{pos: place(n, join(o.path, "flap")), state: given}
		s := d.section(o, "flap", flapKeys)
		if len(s.keys) == 0 && n.Kind != yaml.MappingNode {
			h.flap.at.state = bad
		}
		h.flap.changes = d.number(s, "changes", changesBounds)
		h.flap.window = d.duration(s, "window", wantWindow)
	}
	return h
}

// word reads text that may look like a number: a version, a fingerprint, a password.
func (d *decoder) word(o object, key, want string) field[string] {
	n, ok := o.keys[key]
	if !ok {
		return field[string]{pos: o.at(key)}
	}
	f := field[string]{pos: place(n, join(o.path, key)), state: bad}
	if secretKey(key) {
		f.text = hidden
	}
	if n.Kind != yaml.ScalarNode || isNull(n) {
		d.wrongType(f.pos, n, want, "write one value")
		return f
	}
	f.state, f.val = given, n.Value
	return f
}
