package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"ftpvip/health/judge"
)

// quitWait is how long a probe that has its result waits for the server's good-bye. Closing earlier would
// answer the 221 with a reset, which servers log as an error.
const quitWait = 500 * time.Millisecond

// FTPBanner is the probe of the check "ftp-banner": the target accepts a connection and greets with 220.
// RFC 959 section 5.4 knows three greetings: 220; 120, "ready in nnn minutes"; and 421, closing. The latter two
// are failures: at this moment a client cannot log in. After the greeting the probe sends QUIT.
func FTPBanner(ctx context.Context, t Target) judge.Result {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()

	start := time.Now()
	conn, err := dial(ctx, t)
	if err != nil {
		r := explainDial(t, err)
		r.Took = time.Since(start)
		return r
	}
	defer conn.Close() //nolint:errcheck // nothing was left to write
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	greeting, err := readReply(bufio.NewReaderSize(conn, maxLine))
	var r judge.Result
	if err != nil {
		r = explainRead(t, err)
	} else {
		r = judgeGreeting(greeting)
	}
	r.Took = time.Since(start)
	if err == nil && greeting.code != 421 { // after a 421 it is the server that closes
		quit(ctx, conn)
	}
	return r
}

// judgeGreeting says whether a client could go on after this greeting.
func judgeGreeting(g reply) judge.Result {
	switch g.code {
	case 220:
		return judge.Result{}
	case 120:
		return judge.Fail(judge.StepBanner, fmt.Sprintf("the server is not ready yet: it says 120 %s", g.quoted()), nil)
	case 421:
		return judge.Fail(judge.StepBanner, fmt.Sprintf("the server takes no sessions now: it says 421 %s", g.quoted()), nil)
	default:
		return judge.Fail(judge.StepBanner, fmt.Sprintf("the greeting is %d %s, not 220", g.code, g.quoted()), nil)
	}
}

// quit ends the session as RFC 959 section 4.1.1 wants it and waits a moment for the server to close.
func quit(ctx context.Context, conn net.Conn) {
	deadline := time.Now().Add(quitWait)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if conn.SetDeadline(deadline) != nil || ctx.Err() != nil {
		return
	}
	if _, err := io.WriteString(conn, "QUIT\r\n"); err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxReply))
}
