package configs

import (
	"strings"
	"testing"
)

const concealable = `vips: [{name: ftp, addresses: [192.0.2.10], port: 21, pool: farm}]
pools:
  - name: farm   # a remark
    backends: [{name: a, addresses: [10.2.0.11]}]
    health: {check: ftp-login, user: probe, password: PW}
`

// TestConceal: however a password is written, the text that is kept does not have it, is valid, and gets it back from the file, also
// from one that is broken by now.
func TestConceal(t *testing.T) {
	for _, written := range []string{"s3cret", `"s3cret"`, "'s3cret'", "s3cret # why"} {
		text := strings.Replace(concealable, "PW}", written+"\n  }", 1)
		kept := Conceal([]byte(text))
		if strings.Contains(string(kept), "s3cret") {
			t.Errorf("%s is kept:\n%s", written, kept)
		}
		cfg, err := Parse("f", kept, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, kept)
		}
		if p := cfg.Pools[0].Health.Password; p != Concealed {
			t.Errorf("%s is kept as %q", written, string(p))
		}
		Reveal(cfg, []byte(strings.Replace(text, "addresses:", "adresses:", 1)))
		if p := cfg.Pools[0].Health.Password; p != "s3cret" {
			t.Errorf("%s comes back as %q", written, string(p))
		}
	}
	plain := strings.Replace(concealable, ", password: PW", "", 1)
	if got := Conceal([]byte(plain)); string(got) != plain {
		t.Errorf("text without a password was changed:\n%s", got)
	}
}
