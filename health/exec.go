package health

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"ftpvip/configs"
)

// Exec is the probe of the check "exec": a program of the admin's exits with 0. The first line that it writes is the
// reason. When time is up, its whole process group is killed.
func Exec(ctx context.Context, t Target) Result {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	sp := t.Spec
	start := time.Now()
	line, err := runCommand(ctx, sp.Health.Command, []string{
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

func explainExec(t Target, line string, err error, late bool) Result {
	program := t.Spec.Health.Command[0]
	exit, ran := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return Result{}
	case late:
		return fail(StepExec, fmt.Sprintf("%s did not end within %v and was killed", program, t.Timeout), err)
	case !ran:
		return fail(StepLocal, fmt.Sprintf("%s cannot be run: %v", program, err), err)
	case exit.ExitCode() < 0:
		return fail(StepExec, fmt.Sprintf("%s ended by %s", program, exit.ProcessState), err)
	case line == "":
		return fail(StepExec, fmt.Sprintf("%s exited with status %d and said nothing", program, exit.ExitCode()), err)
	}
	return fail(StepExec, fmt.Sprintf("%s exited with status %d: %s", program, exit.ExitCode(), quote(line)), err)
}

// inherited lists the variables that commands get besides their own: nothing that could hold a secret.
var inherited = []string{"PATH", "LANG", "LC_ALL", "TZ", "HOME"}

// environment is what a command runs in.
func environment(facts []string) []string {
	var env []string
	for _, name := range inherited {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return append(env, facts...)
}

// runCommand runs a program to its end, or to that of ctx, and returns the first line that it wrote. Nothing of its
// process group is left.
func runCommand(ctx context.Context, argv, facts []string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = environment(facts)
	cmd.Dir = "/"
	out := &firstLine{}
	cmd.Stdout, cmd.Stderr = out, out
	err := runGroup(cmd)
	return out.line(), err
}

// firstLine keeps the beginning of what is written to it.
type firstLine struct{ b []byte }

// Write implements io.Writer.
func (f *firstLine) Write(p []byte) (int, error) {
	if room := maxLine - len(f.b); room > 0 {
		f.b = append(f.b, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

func (f *firstLine) line() string {
	line, _, _ := strings.Cut(string(f.b), "\n")
	return strings.TrimSpace(line)
}
