package health

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
)

// The history is two files in the state directory: the current one, and the one before. It takes twice maxHistory.
const (
	historyName = "health-history.jsonl"
	historyOld  = "health-history.1.jsonl"
	maxHistory  = 1 << 20 // bytes; some 4,000 events
)

// AppendHistory adds events to the history in dir, one line of JSON each. The caller holds the lock.
func AppendHistory(dir string, events []Event) (err error) {
	if len(events) == 0 {
		return nil
	}
	var b bytes.Buffer
	for _, e := range events {
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encoding the health history: %w", err)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	path := filepath.Join(dir, historyName)
	if info, err := os.Stat(path); err == nil && info.Size() > maxHistory {
		if err := os.Rename(path, filepath.Join(dir, historyOld)); err != nil {
			return fmt.Errorf("rotating the health history: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("writing the health history: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if torn(f) {
		_, err = f.Write([]byte{'\n'})
	}
	if err == nil {
		_, err = f.Write(b.Bytes())
	}
	if err != nil {
		return fmt.Errorf("writing the health history: %w", err)
	}
	return nil
}

// torn tells whether the last line has no end: a disk was full, or the power failed.
func torn(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return err == nil && last[0] != '\n'
}

// ReadHistory returns all events in dir, the oldest first, and how many lines could not be read.
func ReadHistory(dir string) (events []Event, broken int, err error) {
	for _, name := range []string{historyOld, historyName} {
		f, err := os.Open(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, 0, fmt.Errorf("reading the health history: %w", err)
		}
		more, bad, err := decodeHistory(f)
		_ = f.Close() // only read
		if err != nil {
			return nil, 0, fmt.Errorf("reading the health history: %w", err)
		}
		events, broken = append(events, more...), broken+bad
	}
	return events, broken, nil
}

func decodeHistory(r io.Reader) (events []Event, broken int, err error) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var e Event
			if json.Unmarshal(line, &e) == nil && e.Pool != "" && e.Backend != "" {
				events = append(events, e)
			} else {
				broken++
			}
		}
		if errors.Is(err, io.EOF) {
			return events, broken, nil
		}
		if err != nil {
			return nil, 0, err
		}
	}
}

// WriteHistory writes events as a table.
func WriteHistory(w io.Writer, events []Event) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, e := range events {
		_, _ = fmt.Fprintf(tw, "%s\t%s\n", e.Time.Local().Format("2006-01-02 15:04:05"), e) // Flush has the error
	}
	return tw.Flush()
}
