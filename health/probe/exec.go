package probe

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"ftpvip/configs"
	"ftpvip/health/command"
	"ftpvip/health/judge"
)

// Exec is the probe of the check "exec": a program of the admin's exits with 0. The first line that it writes is the
// reason. When time is up, its whole process group is killed.
func Exec(ctx context.Context, t Target) judge.Result {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	sp := t.Spec
	start := time.Now()
	line, err := command.Run(ctx, sp.Health.Command, []string{
		"FTPVIP_POOL=" + sp.Pool,
		"FTPVIP_BACKEND=" + sp.Backend.Name,
		"FTPVIP_ADDRESS=" + t.Addr.Addr().String(),
		"FTPVIP_PORT=" + strconv.Itoa(int(t.Addr.Port())),
		fmt.Sprintf("FTPVIP_FAMILY=%d", configs.FamilyOf(t.Addr.Addr())),
		"FTPVIP_WEIGHT=" + strconv.Itoa(sp.Backend.Weight),
		fmt.Sprintf("FTPVIP_TIMEOUT=%g", t.Timeout.Seconds()),
	})
	r := explainExec(t, line, err, ctx.Err() != nil)
	r.Took = time.Since(start)
	return r
}

func explainExec(t Target, line string, err error, late bool) judge.Result {
	program := t.Spec.Health.Command[0]
	exit, ran := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return judge.Result{}
	case late:
		return judge.Fail(judge.StepExec, fmt.Sprintf("%s did not end within %v and was killed", program, t.Timeout), err)
	case !ran:
		return judge.Fail(judge.StepLocal, fmt.Sprintf("%s cannot be run: %v", program, err), err)
	case exit.ExitCode() < 0:
		return judge.Fail(judge.StepExec, fmt.Sprintf("%s ended by %s", program, exit.ProcessState), err)
	case line == "":
		return judge.Fail(judge.StepExec, fmt.Sprintf("%s exited with status %d and said nothing", program, exit.ExitCode()), err)
	}
	return judge.Fail(judge.StepExec, fmt.Sprintf("%s exited with status %d: %s", program, exit.ExitCode(), Quote(line)), err)
}
