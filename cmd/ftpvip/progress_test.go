package main

import (
	"strings"
	"testing"

	"ftpvip/configs"
)

func TestProgressLines(t *testing.T) {
	var b strings.Builder
	show := progress(&b, configs.Ref{Pool: "farm", Backend: "a"}, false)
	for _, n := range []int{2, 0} {
		if err := show(n); err != nil {
			t.Fatal(err)
		}
	}
	if want := "farm/a: 2 sessions left\nfarm/a: 0 sessions left\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	b.Reset()
	if err := progress(&b, configs.Ref{}, true)(5); err != nil || b.Len() > 0 {
		t.Errorf("%q, %v", b.String(), err)
	}
}
