package track

import (
	"encoding/hex"
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"ftpvip/helper/ftp"
)

// TestAppendExpect compares with what ti-mo/conntrack v0.6.0 sent for the same expectations, its sequence numbers and
// port id set to 0.
func TestAppendExpect(t *testing.T) {
	tests := []struct {
		name string
		conn Connection
		data ftp.DataConn
		want string
	}{
		{
			name: "passive", conn: twoArm,
			data: ftp.DataConn{Passive: true, Port: 50000, To: at("10.2.0.11:50123")},
			want: "" +
				"1001000000020506000000000000000002000000340001801400018008000100cb00710908000200c000020a1c000280" +
				"0500010006000000060002009c4000000600030000150000340002801400018008000100cb00710908000200c000020a" +
				"1c0002800500010006000000060002000000000006000300c3500000340003801400018008000100ffffffff08000200" +
				"ffffffff1c0002800500010006000000060002000000000006000300ffff0000080004000000012c16000b006e61742d" +
				"666f6c6c6f772d6d617374657200000040000a8008000100000000003400028014000180080001000a02000b08000200" +
				"c000020a1c000280050001000600000006000200c3cb000006000300c3500000",
		},
		{
			name: "passive, IPv6", conn: twoArm6,
			data: ftp.DataConn{Passive: true, Port: 50000, To: at("[fd00::11]:50000")},
			want: "" +
				"700100000002050600000000000000000a0000004c0001802c0001801400030020010db8000100000000000000000009" +
				"1400040020010db80000000000000000000000101c0002800500010006000000060002009c4000000600030000150000" +
				"4c0002802c0001801400030020010db80001000000000000000000091400040020010db8000000000000000000000010" +
				"1c0002800500010006000000060002000000000006000300c35000004c0003802c00018014000300ffffffffffffffff" +
				"ffffffffffffffff14000400ffffffffffffffffffffffffffffffff1c00028005000100060000000600020000000000" +
				"06000300ffff0000080004000000012c16000b006e61742d666f6c6c6f772d6d617374657200000058000a8008000100" +
				"000000004c0002802c00018014000300fd0000000000000000000000000000111400040020010db80000000000000000" +
				"000000101c000280050001000600000006000200c350000006000300c3500000",
		},
		{
			name: "active, one-arm", conn: oneArm,
			data: ftp.DataConn{Port: 50001, To: at("203.0.113.9:40001")},
			want: "" +
				"1001000000020506000000000000000002000000340001801400018008000100cb00710908000200c000020a1c000280" +
				"0500010006000000060002009c40000006000300001500003400028014000180080001000a02000b080002000a020001" +
				"1c0002800500010006000000060002000000000006000300c3510000340003801400018008000100ffffffff08000200" +
				"ffffffff1c0002800500010006000000060002000000000006000300ffff0000080004000000012c16000b006e61742d" +
				"666f6c6c6f772d6d617374657200000040000a800800010000000001340002801400018008000100cb00710908000200" +
				"0a0200011c0002800500010006000000060002009c41000006000300c3510000",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := expectation(tt.conn, tt.data)
			if got := hex.EncodeToString(appendExpect(nil, &e, 0)); got != tt.want {
				t.Errorf("message differs\nwant %s\ngot  %s", tt.want, got)
			}
		})
	}
}

// TestAppendRemoval names an expectation by its tuple alone.
func TestAppendRemoval(t *testing.T) {
	e := expectation(twoArm, ftp.DataConn{Port: 40001, To: at("203.0.113.9:40001")})
	want := "4800000002020500000000000000000002000000" +
		"340002801400018008000100" + "0a02000b" + "08000200" + "cb007109" +
		"1c00028005000100060000000600020000000000" + "06000300" + "9c410000"
	if got := hex.EncodeToString(appendRemoval(nil, &e, 0)); got != want {
		t.Errorf("message differs\nwant %s\ngot  %s", want, got)
	}
}

// TestAppendExpectFits checks that no expectation outgrows the buffer, and that none of it is allocated.
func TestAppendExpectFits(t *testing.T) {
	e := expectation(twoArm6, ftp.DataConn{Passive: true, Port: 50000, To: at("[fd00::11]:50000")})
	var buf [expectLen]byte
	if n := testing.AllocsPerRun(100, func() { appendExpect(buf[:0], &e, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestExpecterAnswers asks a kernel that knows no connection at all, from several queues at the same time.
func TestExpecterAnswers(t *testing.T) {
	x, err := expecterInEmptyNamespace()
	if errors.Is(err, unix.EPERM) {
		t.Skipf("needs root to make a network namespace: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	e := expectation(twoArm, ftp.DataConn{Passive: true, Port: 50000, To: at("10.2.0.11:50123")})
	var queues sync.WaitGroup
	for range 4 {
		queues.Go(func() {
			for range 100 {
				if err := x.create(&e); !errors.Is(err, unix.ENOENT) {
					t.Errorf("want ENOENT, got %v", err)
					return
				}
			}
		})
	}
	queues.Wait()
	if err := x.close(); err != nil {
		t.Error(err)
	}
	if err := x.create(&e); !errors.Is(err, os.ErrClosed) {
		t.Errorf("want os.ErrClosed, got %v", err)
	}
}

func expecterInEmptyNamespace() (x *expecter, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and no unlocking: the thread ends with the goroutine
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			x, err = openExpecter()
		}
	}()
	<-done
	return x, err
}
