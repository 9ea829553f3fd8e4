package track

import (
	"fmt"
	"strings"
	"testing"

	"ftpvip/rules"
)

func TestLabels(t *testing.T) {
	labels, mask := labelBit(rules.OpaqueLabel, true)
	// nf_tables compares native 32-bit words; on a little-endian machine bit 115 is bit 3 of byte 14.
	if got := fmt.Sprintf("%x %x", labels, mask); got != strings.Repeat("00", 14)+"0800 "+strings.Repeat("00", 14)+"0800" {
		t.Errorf("labels and mask %s", got)
	}
	if labels, _ := labelBit(rules.OpaqueLabel, false); strings.Trim(string(labels), "\x00") != "" {
		t.Errorf("labels %x", labels)
	}
}
