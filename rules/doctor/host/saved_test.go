package host

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestSaved: our table is found in files that nft loads at boot, and in what they include; a line that only deletes it is none.
func TestSaved(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("nftables.conf", "flush ruleset\ninclude \"more/*.nft\"\ninclude \"nftables.conf\"\ntable inet filter {\n}\ntable inet ftpvip {\n}\n")
	if err := os.Mkdir(filepath.Join(dir, "more"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("more/a.nft", "delete table inet ftpvip\ntable inet ftpvip2 {\n}\n  table inet ftpvip { }\n")
	startFiles = []string{filepath.Join(dir, "nftables.conf"), filepath.Join(dir, "missing")}
	want := fmt.Sprintf("[{%s/more/a.nft 4} {%s/nftables.conf 6}]", dir, dir)
	if got := fmt.Sprint(Saved()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
