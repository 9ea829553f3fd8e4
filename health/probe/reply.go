package probe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"ftpvip/helper/ftp"
)

// Limits of a reply, in bytes. RFC 959 sets none; real greetings, legal notices included, stay far below.
const (
	maxLine  = 4 << 10
	maxReply = 64 << 10
	maxQuote = 80 // of a server's text in a reason
)

// Ways in which a reply is broken. Errors of the connection itself are passed through.
var (
	errNotReply     = errors.New("not an FTP reply")
	errLineTooLong  = fmt.Errorf("a line of more than %d bytes", maxLine)
	errReplyTooLong = fmt.Errorf("a reply of more than %d bytes", maxReply)
)

// reply is one FTP reply: RFC 959 section 4.2.
type reply struct {
	code int    // 100..699
	text string // of the first line; raw bytes from the network
	last string // of the last line
}

// quoted returns the text fit for a terminal, cut to a sensible length.
func (r reply) quoted() string { return Quote(r.text) }

// Quote makes a server's bytes harmless and short.
func Quote(s string) string {
	if len(s) > maxQuote {
		s = strings.ToValidUTF8(s[:maxQuote], "") + "..."
	}
	return strconv.Quote(s)
}

// brokenReply is an error together with what had been received.
type brokenReply struct {
	got string // the last line that is not empty, perhaps unfinished
	any bool   // whether anything came at all
	err error
}

func (e *brokenReply) Error() string { return fmt.Sprintf("reading a reply: %v", e.err) }
func (e *brokenReply) Unwrap() error { return e.err }

// readReply reads one whole reply, of one line or of many. A reply of many lines starts with "220-" and ends with
// a line that starts with "220 "; what stands between may look like anything (RFC 959 section 4.2). Lines may end
// with a bare LF, and the last may be the bare code. The reader's buffer must be of maxLine bytes. Every error is a
// *brokenReply.
func readReply(r *bufio.Reader) (reply, error) {
	var first reply
	var last string
	for total, lines := 0, 0; ; lines++ {
		raw, err := r.ReadSlice('\n')
		total += len(raw)
		line := strings.TrimRight(string(raw), "\r\n")
		if errors.Is(err, bufio.ErrBufferFull) {
			err = errLineTooLong
		}
		if errors.Is(err, io.EOF) && total > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err == nil && total > maxReply {
			err = errReplyTooLong
		}
		if line != "" {
			last = line
		}
		if err != nil {
			return reply{}, &brokenReply{got: last, any: total > 0, err: err}
		}
		code, more, ok := ftp.ReplyLine([]byte(line))
		text := line[min(4, len(line)):]
		switch {
		case lines == 0 && !ok:
			return reply{}, &brokenReply{got: line, any: true, err: errNotReply}
		case lines == 0:
			first = reply{code: code, text: text}
		}
		if ok && !more && code == first.code {
			first.last = text
			return first, nil
		}
	}
}
