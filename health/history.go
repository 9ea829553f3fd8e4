package health

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"golang.org/x/sys/unix"

	"ftpvip/configs/statedir"
	"ftpvip/configs/terminal"
	"ftpvip/health/judge"
)

// The history is two files in the state directory: the current one, and the one before. It takes twice maxHistory.
const (
	historyName = "health-history.jsonl"
	historyOld  = "health-history.1.jsonl"
	maxHistory  = 1 << 20 // bytes; some 4,000 events

	maxHistoryRead = 64 << 20 // a round's events are written at once, also 10,000 of them
)

// AppendHistory adds events to the history in dir, one line of JSON each. The caller holds the lock.
func AppendHistory(dir string, events []judge.Event) (err error) {
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
	d, err := statedir.Open(dir)
	if err != nil {
		return fmt.Errorf("writing the health history: %w", err)
	}
	defer d.Close()
	if st, err := d.Stat(historyName); err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size > maxHistory {
		if err := d.Rename(historyName, historyOld); err != nil {
			return fmt.Errorf("rotating the health history: %w", err)
		}
	}
	f, err := d.OpenFile(historyName, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
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

// torn reports whether the last line has no end: a disk was full, or the power failed.
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
func ReadHistory(dir string) (events []judge.Event, broken int, err error) {
	d, err := statedir.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading the health history: %w", err)
	}
	defer d.Close()
	for _, name := range []string{historyOld, historyName} {
		b, err := d.Read(name, maxHistoryRead)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case errors.Is(err, statedir.ErrTooLarge):
			err = fmt.Errorf("%w; remove it with `rm %s`", err, filepath.Join(dir, name))
			fallthrough
		case err != nil:
			return nil, 0, fmt.Errorf("reading the health history: %w", err)
		}
		more, bad := decodeHistory(b)
		events, broken = append(events, more...), broken+bad
	}
	return events, broken, nil
}

func decodeHistory(b []byte) (events []judge.Event, broken int) {
	for line := range bytes.Lines(b) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var e judge.Event
		if json.Unmarshal(line, &e) == nil && e.Pool != "" && e.Backend != "" {
			events = append(events, e)
		} else {
			broken++
		}
	}
	return events, broken
}

// WriteHistory writes events as a table.
func WriteHistory(w io.Writer, events []judge.Event) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, e := range events {
		_, _ = fmt.Fprintf(tw, "%s\t%s\n", e.Time.Local().Format("2006-01-02 15:04:05"), terminal.Line(e.String())) // Flush has the error
	}
	return tw.Flush()
}
