package main

import (
	"strings"
	"testing"
)

func TestSummarize(t *testing.T) {
	events := `{"Action":"start","Package":"a"}
{"Action":"output","Package":"a","Test":"TestX","Output":"=== RUN   TestX\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"    x_test.go:12: needs root\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"--- SKIP: TestX (0.00s)\n"}
{"Action":"skip","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Test":"TestY","Output":"    x_test.go:20: 1, not 2\n"}
{"Action":"output","Package":"a","Test":"TestY","Output":"--- FAIL: TestY (0.00s)\n"}
{"Action":"fail","Package":"a","Test":"TestY"}
{"Action":"output","Package":"a","Test":"TestZ","Output":"noise\n"}
{"Action":"pass","Package":"a","Test":"TestZ"}
{"Action":"output","Package":"a","Output":"FAIL\ta\t0.1s\n"}
{"Action":"fail","Package":"a"}
{"Action":"output","Package":"b","Output":"PASS\n"}
{"Action":"output","Package":"b","Output":"ok  \tb\t0.2s\n"}
{"Action":"pass","Package":"b"}
{"Action":"skip","Package":"c"}
{"Action":"build-output","ImportPath":"d","Output":"d.go:1:1: wrong\n"}
not an event
`
	want := `    x_test.go:20: 1, not 2
--- FAIL: TestY (0.00s)
FAIL	a	0.1s
ok  	b	0.2s
d.go:1:1: wrong
not an event
1 tests were skipped:
     1 needs root
`
	var got strings.Builder
	if err := summarize(strings.NewReader(events), &got); err != nil {
		t.Fatal(err)
	}
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}
