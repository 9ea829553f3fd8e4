package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testBoard() *board {
	b := newBoard()
	b.contestants = []*contestant{
		{Key: "dnat", Title: "plain DNAT"},
		{Key: kernelKey, Title: "kernel's helper"},
		{Key: conntrackdKey, Title: "conntrackd"},
		{Key: ftpvipKey, Title: "ftpvip"},
	}
	for _, v := range []float64{50, 40, 60} {
		b.add(latency50, kernelKey, v)
		b.add(latency50, ftpvipKey, v*1.4)
	}
	b.add(pasvRate(16), "dnat", 1234567)
	b.add(pasvRate(16), kernelKey, 40000)
	b.add(pasvRate(16), conntrackdKey, 900)
	b.add(pasvRate(16), ftpvipKey, 20000)
	return b
}

func TestTable(t *testing.T) {
	b := testBoard()
	b.skip(conntrackdKey, errors.New("no such\nthing"))
	b.add(packets, ftpvipKey, 13)
	b.fail(packets, ftpvipKey, errors.New("oops\nin detail"))
	var w strings.Builder
	if err := writeTable(&w, b.rows()); err != nil {
		t.Fatal(err)
	}
	want := `                                 unit  plain DNAT  kernel's helper  conntrackd  ftpvip  ftpvip / plain DNAT  ftpvip / kernel's helper
PASV, 1 connection, p50            us           -             50.0           -    70.0                    -                      1.40
PASV, 16 connections              1/s   1,234,567           40,000         900  20,000                 0.02                      0.50
packets to userspace, 1 session                 -                -           -  failed                    -                         -
`
	if diff := cmp.Diff(want, w.String()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"ftpvip: packets to userspace, 1 session: 1 of 2 rounds failed: oops"}, b.failures()); diff != "" {
		t.Error(diff)
	}
	if got := b.contestants[2].Skipped; got != "no such; thing" {
		t.Errorf("the reason is %q", got)
	}
}

// TestFailedRound: other peers' bad rounds do not count, ftpvip's do.
func TestFailedRound(t *testing.T) {
	b := testBoard()
	for _, c := range []string{kernelKey, ftpvipKey} {
		if b.fail(latency50, c, errors.New("stalled")); b.sound() != (c == kernelKey) {
			t.Errorf("sound: %v after %s failed", b.sound(), c)
		}
	}
	if v, ok := b.value(latency50, kernelKey); !ok || v != 50 {
		t.Errorf("kernel: %v, %v", v, ok)
	}
	if v, ok := b.value(latency50, ftpvipKey); ok {
		t.Errorf("ftpvip has a value: %v", v)
	}
}

func TestNumber(t *testing.T) {
	for _, tt := range []struct {
		v      float64
		digits int
		want   string
	}{
		{0, 0, "0"}, {999, 0, "999"}, {1000, 0, "1,000"}, {1234567.89, 1, "1,234,567.9"}, {-1234, 0, "-1,234"}, {0.125, 2, "0.12"},
	} {
		if got := number(tt.v, tt.digits); got != tt.want {
			t.Errorf("number(%v, %d) = %q, want %q", tt.v, tt.digits, got, tt.want)
		}
	}
}

func TestJudge(t *testing.T) {
	b := testBoard()
	b.add(memoryAt(targetIdle), ftpvipKey, 40)
	b.add(packets, conntrackdKey, 30)
	b.add(packets, ftpvipKey, 30)
	outcomes := func(list []target) (o []outcome) {
		for _, t := range list {
			o = append(o, t.Outcome)
		}
		return o
	}
	if diff := cmp.Diff([]outcome{met, missed, met, met, missed}, outcomes(judge(b, false))); diff != "" {
		t.Errorf("with everything: %s", diff)
	}
	if diff := cmp.Diff([]outcome{met, met, missed}, outcomes(judge(b, true))); diff != "" {
		t.Errorf("emulated: %s", diff)
	}
	b.skip(conntrackdKey, errors.New("missing"))
	if diff := cmp.Diff([]outcome{met, missed, met}, outcomes(judge(b, false))); diff != "" {
		t.Errorf("without conntrackd: %s", diff)
	}
	if diff := cmp.Diff([]outcome{notMeasured, notMeasured}, outcomes(judge(newBoard(), true))); diff != "" {
		t.Errorf("with nothing: %s", diff)
	}
}

func TestCountQueued(t *testing.T) {
	const text = "    0  12345     0 2 65531     0     0      163  1\n 2100     77     0 2 65531     0     0       17  1\n"
	if n, err := countQueued(text); err != nil || n != 180 {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := countQueued("something else\n"); err == nil {
		t.Error("nonsense was counted")
	}
	if n, err := countQueued(""); err != nil || n != 0 {
		t.Errorf("without queues: %d, %v", n, err)
	}
}
