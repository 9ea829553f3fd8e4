package main

import (
	"bytes"
	"errors"
	"testing"
)

func TestUsage(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		code int
	}{
		{"help", []string{"-h"}, 0},
		{"unknown flag", []string{"-x"}, exitUsage},
		{"words", []string{"now"}, exitUsage},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(tc.args, &out, &errs); code != tc.code {
				t.Errorf("exit status %d, want %d", code, tc.code)
			}
			if out.Len() > 0 || !bytes.Contains(errs.Bytes(), []byte("usage: ftpvip-demo")) {
				t.Errorf("stdout %q, stderr %q", &out, &errs)
			}
		})
	}
}

// TestJudge: the demo must not call OK what is not.
func TestJudge(t *testing.T) {
	on := func(name string) landing { return landing{name: name} }
	lost := landing{err: errors.New("refused")}
	for _, tc := range []struct {
		name               string
		before, down, back landing
		ok                 bool
	}{
		{"OK: moves and returns", on("ftp1"), on("ftp2"), on("ftp1"), true},
		{"OK: stays", on("ftp2"), on("ftp2"), on("ftp2"), true},
		{"bad: still on the dead one", on("ftp1"), on("ftp1"), on("ftp1"), false},
		{"bad: does not return", on("ftp1"), on("ftp2"), on("ftp2"), false},
		{"bad: never got in", lost, on("ftp2"), on("ftp1"), false},
		{"bad: nowhere meanwhile", on("ftp1"), lost, on("ftp1"), false},
		{"bad: nowhere afterwards", on("ftp1"), on("ftp2"), lost, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := judge(tc.before, tc.down, tc.back, "ftp2"); (err == nil) != tc.ok {
				t.Errorf("judge says %v", err)
			}
		})
	}
}
