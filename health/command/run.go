package command

import (
	"context"
	"os"
	"os/exec"
	"strings"
)

// inherited lists the variables that commands get besides their own: nothing that could hold a secret.
var inherited = []string{"PATH", "LANG", "LC_ALL", "TZ", "HOME"}

// maxOutput is how much of a command's output is looked at for its first line, in bytes.
const maxOutput = 4 << 10

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

// Run runs a program to its end, or to that of ctx, and returns the first line that it wrote. Nothing of its
// process group is left.
func Run(ctx context.Context, argv, facts []string) (string, error) {
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
	if room := maxOutput - len(f.b); room > 0 {
		f.b = append(f.b, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

func (f *firstLine) line() string {
	line, _, _ := strings.Cut(string(f.b), "\n")
	return strings.TrimSpace(line)
}
