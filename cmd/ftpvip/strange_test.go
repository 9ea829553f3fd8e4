package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/configs/inforce"
)

// stateFiles are the files of the state directory, with a verb that uses each and what it is in messages.
var stateFiles = []struct {
	name  string
	words []string
	json  bool // an unreadable content is put aside
}{
	{"applied.json", []string{"rollback"}, true},
	{"health.json", []string{"diff"}, true},
	{"admin.json", []string{"check"}, true},
	{"lock", []string{"flush"}, false},
	{"health.lock", []string{"health"}, false},
	{"health-history.jsonl", []string{"health", "--history"}, false},
	{"health-history.1.jsonl", []string{"health", "--history"}, false},
	{"confirm.log", []string{"apply", "--confirm", "1h"}, false},
}

// TestStrangeFiles: no kind of file makes root wait, or read or write what the owner may not. The message names the file
// and what to do.
func TestStrangeFiles(t *testing.T) {
	const secretText = "root:$6$secret"
	kinds := []struct {
		name string
		make func(path, secret string) error
		want string
	}{
		{"named pipe", func(path, _ string) error { return unix.Mkfifo(path, 0o666) }, "PATH is a named pipe, not a regular file: remove it with `rm PATH`"},
		{"link", func(path, secret string) error { return os.Symlink(secret, path) }, "PATH is a symbolic link, not a regular file: remove it with `rm PATH`"},
		{"hard link", func(path, secret string) error { return os.Link(secret, path) }, "PATH: permission denied"},
		{"directory", func(path, _ string) error { return os.Mkdir(path, 0o777) }, "PATH is a directory, not a regular file: remove it with `rm -r PATH`"},
		{"socket", func(path, _ string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
			if err == nil {
				l.SetUnlinkOnClose(false)
				err = l.Close()
			}
			return err
		}, "PATH is a socket, not a regular file: remove it with `rm PATH`"},
		{"terabyte", func(path, _ string) error {
			f, err := os.Create(path)
			if err == nil {
				err = errors.Join(f.Truncate(1<<40), f.Close())
			}
			return err
		}, ""},
	}
	for _, owner := range []int{ownerID, 0} {
		for _, kind := range kinds {
			if owner == 0 && kind.name == "hard link" {
				continue // it is root's own doing
			}
			for _, file := range stateFiles {
				t.Run(fmt.Sprintf("user %d %s %s", owner, kind.name, file.name), func(t *testing.T) {
					w := newTrustWorld(t)
					must(t, os.Chown(w.dir, owner, owner))
					if file.name == "confirm.log" {
						w.do(t, "apply")
						t.Cleanup(func() { w.do(t, "flush") })
						w.configure(t, "random")
					}
					secret, path := filepath.Join(w.base, "shadow"), filepath.Join(w.dir, file.name)
					must(t, os.WriteFile(secret, []byte(secretText), 0o600))
					if err := kind.make(path, secret); errors.Is(err, unix.EFBIG) {
						t.Skip("this filesystem has no files of a terabyte")
					} else {
						must(t, err)
					}
					if kind.name != "hard link" {
						must(t, os.Lchown(path, owner, owner))
					}
					code, out := w.run(t, file.words...)
					want := strings.ReplaceAll(kind.want, "PATH", path)
					switch {
					case kind.name != "terabyte":
						if code == 0 || !strings.Contains(out, want) {
							t.Errorf("exit code %d, want %q in\n%s", code, want, out)
						}
					case file.json:
						if !strings.Contains(out, path) || !strings.Contains(out, "larger than 67108864 bytes") || !strings.Contains(out, file.name+".corrupt") {
							t.Errorf("exit code %d\n%s", code, out)
						}
					case strings.HasPrefix(file.name, "health-history"):
						if code != exitFailure || !strings.Contains(out, "too large") || !strings.Contains(out, "rm "+path) {
							t.Errorf("exit code %d\n%s", code, out)
						}
					case code != 0: // nobody reads it
						t.Errorf("exit code %d\n%s", code, out)
					}
					if b, err := os.ReadFile(secret); err != nil || string(b) != secretText {
						t.Errorf("the linked file is %q now, %v", b, err)
					}
					if strings.Contains(out, secretText) {
						t.Errorf("it shows a file of root's:\n%s", out)
					}
				})
			}
		}
	}
}

// TestFilesOfConfiguration: files that a planted configuration names are read with the owner's rights, and never waited
// for.
func TestFilesOfConfiguration(t *testing.T) {
	w := newTrustWorld(t)
	secret := filepath.Join(w.base, "shadow")
	must(t, os.WriteFile(secret, []byte("root:$6$secret\n"), 0o600))
	pipe := filepath.Join(w.dir, "pipe")
	must(t, unix.Mkfifo(pipe, 0o666))
	for _, tt := range []struct{ vip, health, want string }{
		{"allow_file: " + secret, "check: none", "permission denied"},
		{"allow_file: " + pipe, "check: none", "is not a regular file"},
		{"port: 21", "check: ftp-login, user: u, password_file: " + secret, "permission denied"},
		{"port: 21", "check: ftp-login, user: u, password_file: " + pipe, "not a regular file"},
		{"port: 21", "check: ftp-login, tls: {mode: explicit, ca: " + pipe + "}", "not a regular file"},
	} {
		vip := tt.vip
		if !strings.HasPrefix(vip, "port") {
			vip += ", port: 21"
		}
		text := fmt.Sprintf("vips: [{name: ftp, addresses: [192.0.2.10], pool: farm, %s}]\npools: [{name: farm, backends: "+
			"[{name: a, addresses: [10.2.0.11], port: 9}], health: {%s}}]\n", vip, tt.health)
		record := inforce.Record{Current: &inforce.Applied{At: time.Now(), File: "f.yaml", Text: text, Queues: 2}, RolledBack: time.Now()}
		b, err := record.Encode()
		must(t, err)
		w.plant(t, "applied.json", b)
		_, out := w.run(t, "health")
		if !strings.Contains(out, tt.want) || strings.Contains(out, "$6$") {
			t.Errorf("%s, %s: want %q in\n%s", tt.vip, tt.health, tt.want, out)
		}
	}
}
