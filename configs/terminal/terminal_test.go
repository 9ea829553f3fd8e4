package terminal

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEscape(t *testing.T) {
	tests := []struct{ name, in, line string }{
		{"OK", "anna", "anna"},
		{"OK other scripts", "Zoë 高 عربي é", "Zoë 高 عربي é"},
		{"ESC", "a\x1b[2Jb", `a\u001b[2Jb`},
		{"bell, backspace, DEL", "\a\b\x7f", `\u0007\u0008\u007f`},
		{"C1 in UTF-8", "\u009b31m\u0085", `\u009b31m\u0085`},
		{"C1 as a byte", "\x9b31m", `\u009b31m`},
		{"no UTF-8", "a\xffb", `a\u00ffb`},
		{"the replacement character itself", "a\ufffdb", "a\ufffdb"},
		{"embedding and override", "\u202a\u202b\u202c\u202d\u202e", `\u202a\u202b\u202c\u202d\u202e`},
		{"isolates", "\u2066\u2067\u2068\u2069", `\u2066\u2067\u2068\u2069`},
		{"marks", "\u200e\u200f\u061c", `\u200e\u200f\u061c`},
		{"other line ends", "\u2028\u2029", `\u2028\u2029`},
		{"tags", "\U000e0041", `\udb40\udc41`},
		{"line breaks", "a\r\nb\tc", `a\u000d\u000ab\u0009c`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Line(tt.in); got != tt.line {
				t.Errorf("line: got %q, want %q", got, tt.line)
			}
			var b strings.Builder
			n, err := NewWriter(&b).Write([]byte(tt.in))
			want := strings.NewReplacer(`\u000a`, "\n", `\u0009`, "\t").Replace(tt.line)
			if err != nil || n != len(tt.in) || b.String() != want {
				t.Errorf("writer: %d of %d, %v; got %q, want %q", n, len(tt.in), err, b.String(), want)
			}
		})
	}
}

// FuzzWriter: nothing but graphic characters, line breaks and tabs comes through, and a JSON document says the same.
func FuzzWriter(f *testing.F) {
	f.Add("a\x1b[2J\u202e\U000e0041\xff")
	f.Fuzz(func(t *testing.T, in string) {
		if line := Line(in); strings.ContainsAny(line, "\n\t\x1b\u202e\u009b") || !utf8.ValidString(line) {
			t.Errorf("%q", line)
		}
		document, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if _, err := NewWriter(&b).Write(document); err != nil {
			t.Fatal(err)
		}
		var before, after string
		if err := json.Unmarshal(document, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(b.String()), &after); err != nil || before != after {
			t.Errorf("%v: %q became %q", err, before, after)
		}
	})
}
