package ftp

import "testing"

// FuzzParsePassive: whatever a server says, what is taken from it can be connected to.
func FuzzParsePassive(f *testing.F) {
	f.Add("Entering Passive Mode (10,2,0,11,195,80).", "")
	f.Add("Entering Extended Passive Mode (|||6446|)", "")
	f.Add("Entering", "Passive Mode 10,2,0,11,195,80")
	f.Fuzz(func(t *testing.T, first, last string) {
		if at, ok := ParsePASV(first, last); ok && (!at.IsValid() || at.Port() == 0) {
			t.Errorf("%q %q: %v", first, last, at)
		}
		if port, ok := ParseEPSV(first, last); ok && port == 0 {
			t.Errorf("%q %q: port 0", first, last)
		}
	})
}
