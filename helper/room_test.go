package helper

import (
	"testing"

	"ftpvip/helper/live"
)

func TestParseDropped(t *testing.T) {
	const head = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error" +
		"  expect_new expect_create expect_delete search_restart\n"
	const one = "0000000f  00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000010 0000000a " +
		"00000000  00000000 00000000 00000000 00000000\n"
	for name, tt := range map[string]struct {
		text string
		want uint64
	}{
		"two processors": {head + one + one, 52},
		"none":           {"", 0},
		"other columns":  {"entries found\n0000000f 00000001\n", 0},
		"a short line":   {head + "0000000f\n" + one, 26},
		"not a number":   {head + "x x x x x x x x x x x x x\n", 0},
	} {
		if got := parseDropped(tt.text); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func TestNearlyFull(t *testing.T) {
	for c, want := range map[live.Conntrack]bool{
		{}: false, {Entries: 1}: false, {Entries: 94, Limit: 100}: false, {Entries: 95, Limit: 100}: true,
		{Entries: 249036, Limit: 262144}: true,
	} {
		if got := nearlyFull(c); got != want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}
