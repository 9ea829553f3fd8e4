package configs

import "testing"

// FuzzPrefix: what is taken is a prefix without host bits, and reads the same again; what is not has words to say so.
func FuzzPrefix(f *testing.F) {
	for _, text := range []string{"192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "::/0", "192.0.2.1/24", "fe80::1%eth0", "::ffff:192.0.2.0/120", "010.0.0.0/8", "", "/"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, message, remedy := prefix(text)
		if message != "" {
			if remedy == "" {
				t.Errorf("%q: %s, and no remedy", text, message)
			}
			return
		}
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			t.Errorf("%q is taken for %s", text, p)
		}
		if again, message, _ := prefix(p.String()); again != p || message != "" {
			t.Errorf("%q is %s, which is read as %s (%s)", text, p, again, message)
		}
	})
}
