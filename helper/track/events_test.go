package track

import (
	"testing"

	"golang.org/x/net/bpf"
)

// The filter lets pass what concerns us. The extension that finds attributes is the kernel's own, so only the rest
// can be tested here; the end-to-end tests see the whole.
func TestEventFilter(t *testing.T) {
	if _, err := bpf.Assemble(eventFilter()); err != nil {
		t.Error(err)
	}
	for i, in := range eventFilter() {
		if j, ok := in.(bpf.JumpIf); ok {
			for _, skip := range []uint8{j.SkipTrue, j.SkipFalse} {
				if i+1+int(skip) >= len(eventFilter()) {
					t.Errorf("%d: %s jumps out of the program", i, in)
				}
			}
		}
	}
}
