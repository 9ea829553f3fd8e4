package configs

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretIsNeverPrinted goes through the ways in which a password could reach a log or a report.
func TestSecretIsNeverPrinted(t *testing.T) {
	const word = "hunter2"
	h := Health{User: "probe", Password: word}
	var out strings.Builder
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "health", h, "password", h.Password)
	fmt.Fprintf(&out, "%v %+v %#v %s %q %x\n", h, h, h, h.Password, h.Password, h.Password)
	b, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	if s := out.String(); strings.Contains(s, word) || strings.Contains(s, fmt.Sprintf("%x", word)) {
		t.Errorf("the password is in %s", s)
	}
}

// TestSecretInMessages: the passwords of the wrong files are in no message.
func TestSecretInMessages(t *testing.T) {
	files, err := filepath.Glob("testdata/*password*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse(file, data, nil)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", file, err)
		}
	}
}
