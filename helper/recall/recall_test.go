package recall

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func open(t *testing.T, path string) *File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func write(t *testing.T, m *File, n Slot, key Key, memory string) Slot {
	t.Helper()
	n, err := m.Write(n, &key, []byte(memory))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func claim(m *File, key Key) (n Slot, memory string) {
	n = m.Claim(key, func(b []byte) { memory = string(b) })
	return n, memory
}

// What was written last is there for the next helper, once.
func TestNextHelper(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	m := open(t, path)
	a := write(t, m, 0, Key{1}, "PORT 1")
	b := write(t, m, 0, Key{2}, "227 ")
	a = write(t, m, a, Key{1}, "PORT 198,51,")
	b = write(t, m, b, Key{2}, "")
	if a != 1 || b != 0 {
		t.Errorf("slots %d and %d", a, b)
	}
	if n := write(t, m, 0, Key{3}, "x"); n != 2 {
		t.Errorf("the free slot is not taken again: %d", n)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	m = open(t, path)
	for range 2 {
		if n, memory := claim(m, Key{2}); n != 0 || memory != "" {
			t.Errorf("nothing was left, and %q is found", memory)
		}
	}
	n, memory := claim(m, Key{1})
	if n != a || memory != "PORT 198,51," {
		t.Errorf("slot %d, %q", n, memory)
	}
	if n, memory := claim(m, Key{1}); n != 0 || memory != "" {
		t.Errorf("claimed twice: %q", memory)
	}
	if n := write(t, m, 0, Key{4}, "y"); n != 3 {
		t.Errorf("a slot that somebody has is given out: %d", n)
	}
}

// Nonsense is no memory, and its place is used again.
func TestNonsense(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	m := open(t, path)
	for i := range byte(4) {
		write(t, m, 0, Key{i}, "memory")
	}
	_ = m.Close()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(b []byte) []byte{
		"another byte":  func(b []byte) []byte { b[offBody]++; return b },
		"another key":   func(b []byte) []byte { b[offKey]++; return b },
		"another magic": func(b []byte) []byte { b[0]++; return b },
		"a long length": func(b []byte) []byte { b[offLen] = 0xff; return b },
		"zeros":         func(b []byte) []byte { clear(b[:slotLen]); return b },
		"shorter":       func(b []byte) []byte { return b[:3] },
		"empty":         func([]byte) []byte { return nil },
		"noise":         func(b []byte) []byte { return bytes.Repeat([]byte("noise"), len(b)) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, spoil(bytes.Clone(good)), 0o600); err != nil {
				t.Fatal(err)
			}
			m := open(t, path)
			if n, memory := claim(m, Key{0}); n != 0 {
				t.Errorf("believed: %q", memory)
			}
			if n := write(t, m, 0, Key{9}, "new"); n == 0 {
				t.Error("there is no place")
			}
			_ = m.Close()
		})
	}
}

// One process has the file.
func TestTwoHelpers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	open(t, path)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(f); err == nil {
		t.Error("two have it")
	}
	_ = f.Close()
}

// There are so many slots, and no more; what nobody has claimed gives way.
func TestFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	m := open(t, path)
	for i := range MaxSlots {
		if write(t, m, 0, Key{byte(i), byte(i >> 8)}, "x") == 0 {
			t.Fatalf("%d slots", i)
		}
	}
	if n := write(t, m, 0, Key{0, 0, 1}, "x"); n != 0 {
		t.Errorf("slot %d", n)
	}
	_ = m.Close()
	m = open(t, path)
	if n := write(t, m, 0, Key{0, 0, 1}, "x"); n == 0 {
		t.Error("what nobody has claimed stays")
	}
}

// What cannot be written again is not believed later.
func TestNoRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	m := open(t, path)
	write(t, m, 0, Key{1}, "old")
	whole := m.fd
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	m.fd = int(full.Fd())
	if _, err := m.Write(1, &Key{1}, []byte("new")); err == nil {
		t.Error("no error")
	}
	m.fd = whole
	if n, err := m.Write(1, &Key{1}, []byte("newer")); n != 0 || err != nil {
		t.Errorf("slot %d, %v", n, err)
	}
	_ = m.Close()
	if n, memory := claim(open(t, path), Key{1}); n != 0 {
		t.Errorf("believed: %q", memory)
	}
}

func TestNil(t *testing.T) {
	var m *File
	if n, err := m.Write(0, &Key{}, []byte("x")); n != 0 || err != nil {
		t.Error(n, err)
	}
	if n, _ := claim(m, Key{}); n != 0 {
		t.Error(n)
	}
	if err := m.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func BenchmarkWrite(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "memory"))
	if err != nil {
		b.Fatal(err)
	}
	m, err := Open(f)
	if err != nil {
		b.Fatal(err)
	}
	memory := bytes.Repeat([]byte("x"), 250)
	var n Slot
	b.ReportAllocs()
	for b.Loop() {
		if n, err = m.Write(n, &Key{1}, memory); err != nil {
			b.Fatal(err)
		}
	}
}
