package probe

import (
	"bufio"
	"bytes"
	"errors"
	"testing"
)

// FuzzReadReply: whatever comes, the reader ends, within its limits, with a reply of a legal code or a *brokenReply.
func FuzzReadReply(f *testing.F) {
	for _, s := range []string{
		"220 ready\r\n", "220\n", "220-a\r\nb\r\n220 c\r\n", "220-a\r\n120 b\r\n", "421-\r\n421\r\n", "", "2", "220", "999 x\n",
		"SSH-2.0-x\r\n", "\xff\xf4\r\n", "220_x\r\n", "220-\n220-\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(b)
		r, err := readReply(bufio.NewReaderSize(in, maxLine))
		if read := len(b) - in.Len(); read > maxReply+2*maxLine {
			t.Errorf("read %d bytes", read)
		}
		if err != nil {
			var broken *brokenReply
			if !errors.As(err, &broken) || len(broken.got) > maxLine {
				t.Errorf("error %#v", err)
			}
			return
		}
		if r.code < 100 || r.code > 699 || !bytes.HasPrefix(b, []byte{byte('0' + r.code/100)}) {
			t.Errorf("code %d out of %q", r.code, b)
		}
		for _, c := range r.quoted() {
			if c < ' ' || c == 0x7f {
				t.Errorf("quoted text %q holds a control character", r.quoted())
			}
		}
	})
}
