package configs

import (
	"log/slog"
	"regexp"
	"strings"
)

// Secret is text that no log, report or error shows: whatever prints it prints stars.
type Secret string

const hidden = "***"

// String implements fmt.Stringer.
func (Secret) String() string { return hidden }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return hidden }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// secretKey reports whether the value of a key must be hidden in messages, even if the key is misspelt.
func secretKey(key string) bool {
	key = strings.ToLower(key)
	return strings.Contains(key, "pass") && key != "passive_ports" && key != "passive_range" && key != "password_file" || nearest(key, []string{"password"}) != ""
}

// secretValue finds what stands behind a key that looks like a password's, in text that is no YAML yet or never will be.
var secretValue = regexp.MustCompile(`(?im)\bpass[a-z]*["']?[ \t]*:[ \t]*["']?[*&!]?([^\s"',}]+)`)

// guard hides passwords in a problem of the text: a password that starts with *, & or ! is syntax to YAML, and would be
// named as such.
func guard(p Problem, data []byte) Problem {
	for _, m := range secretValue.FindAllSubmatch(data, -1) {
		p.Message = strings.ReplaceAll(p.Message, string(m[1]), hidden)
		p.Value = strings.ReplaceAll(p.Value, string(m[1]), hidden)
	}
	return p
}
