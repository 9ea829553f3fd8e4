package client

import (
	"fmt"
	"strings"

	"ftpvip/tests/lab"
)

// tnftp reads its commands from the standard input; -d and -v log the control connection to the standard output.
func tnftp(j Job) lab.Command {
	args := []string{"tnftp", "-n", "-v", "-d", "-i", "-q", idle}
	if j.Mode.Active() {
		args = append(args, "-A")
	} else {
		args = append(args, "-p")
	}
	args = append(args, j.Server.Addr().String(), fmt.Sprint(j.Server.Port()))
	var script strings.Builder
	script.WriteString("user anonymous lab\nbinary\n")
	if j.Mode == PASV || j.Mode == PORT {
		script.WriteString("epsv4\n") // turns EPSV and EPRT off
	}
	for _, f := range j.Files {
		switch f.Operation {
		case Download:
			fmt.Fprintf(&script, "get %s %s\n", f.Remote, f.Local)
		case Upload:
			fmt.Fprintf(&script, "put %s %s\n", f.Local, f.Remote)
		case Listing:
			folder := f.Remote
			if folder == "" {
				folder = "."
			}
			fmt.Fprintf(&script, "ls %s %s\n", folder, f.Local)
		}
	}
	script.WriteString("quit\n")
	return lab.Command{Args: args, Stdin: strings.NewReader(script.String())}
}
