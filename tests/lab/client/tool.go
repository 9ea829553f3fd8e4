package client

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab"
)

// Tool is a client program.
type Tool string

// The tools.
const (
	Curl Tool = "curl"
	LFTP Tool = "lftp"
)

// Needs lists what a machine must have to run the tool.
func (t Tool) Needs() []lab.Feature {
	if t == LFTP {
		return []lab.Feature{lab.LFTP}
	}
	return []lab.Feature{lab.Curl}
}

// Modes lists the modes that the tool speaks in a family: lftp never says EPRT over IPv4.
func (t Tool) Modes(f configs.Family) []Mode {
	if t == LFTP && f == configs.IPv4 {
		return []Mode{PASV, EPSV, PORT}
	}
	return Modes(f)
}

// Job is what a tool is to do: one operation, on any number of files, over one control connection.
type Job struct {
	Mode      Mode
	Operation Operation
	Server    netip.AddrPort
	Files     []File
	Rate      int           // bytes per second; 0: as fast as can be
	Limit     time.Duration // for the whole job; default 20 s
}

// File pairs the two names of a file. Remote of a listing is the folder.
type File struct {
	Local  string
	Remote string
}

// Do runs a job on a host of the lab. It is an error if the tool fails, takes longer than the limit, uses another
// mode, or if a PASV reply names any address but the server's. The result is there in every case.
func (t Tool) Do(ctx context.Context, host *lab.Namespace, j Job) (lab.Result, error) {
	if j.Limit == 0 {
		j.Limit = 20 * time.Second
	}
	var c lab.Command
	sent := "> "
	switch t {
	case Curl:
		c = curl(j)
	case LFTP:
		c, sent = lftp(j), "---> "
	}
	ctx, cancel := context.WithTimeout(ctx, j.Limit+5*time.Second) // the tool has its own limit
	defer cancel()
	r, err := host.Run(ctx, c)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("%s failed", t)
	}
	if err == nil {
		err = checkLog(r.Stderr, sent, j.Mode, j.Server.Addr())
	}
	if err != nil {
		return r, fmt.Errorf("%w\n%s", err, r)
	}
	return r, nil
}

func curl(j Job) lab.Command {
	args := []string{
		"curl", "-q", "--silent", "--show-error", "--verbose", "--ftp-method", "nocwd",
		"--connect-timeout", "8", "--max-time", fmt.Sprint(int(j.Limit.Seconds())),
		"--no-ftp-skip-pasv-ip", // else curl would not believe the 227
	}
	switch j.Mode {
	case PASV:
		args = append(args, "--disable-epsv")
	case PORT:
		args = append(args, "--ftp-port", "-", "--disable-eprt")
	case EPRT:
		args = append(args, "--ftp-port", "-")
	case EPSV:
	}
	if j.Rate > 0 {
		args = append(args, "--limit-rate", fmt.Sprint(j.Rate))
	}
	for _, f := range j.Files {
		url := fmt.Sprintf("ftp://%s/%s", j.Server, f.Remote)
		switch j.Operation {
		case Upload:
			args = append(args, "--upload-file", f.Local, url)
		case Listing:
			if !strings.HasSuffix(url, "/") {
				url += "/" // curl's word for a folder
			}
			args = append(args, "--output", f.Local, url)
		case Download:
			args = append(args, "--output", f.Local, url)
		}
	}
	return lab.Command{Args: args}
}

func lftp(j Job) lab.Command {
	set := [][2]string{
		{"cmd:fail-exit", "yes"},
		{"net:timeout", "8"},
		{"net:max-retries", "1"},
		{"xfer:clobber", "yes"},
		{"ftp:ssl-allow", "no"},
		{"ftp:fix-pasv-address", "no"}, // believe the 227
		{"ftp:passive-mode", yesNo(!j.Mode.Active())},
		{"ftp:prefer-epsv", yesNo(j.Mode == EPSV)},
	}
	if j.Rate > 0 {
		set = append(set, [2]string{"net:limit-rate", fmt.Sprint(j.Rate)})
	}
	var script strings.Builder
	script.WriteString("debug 5; ")
	for _, kv := range set {
		fmt.Fprintf(&script, "set %s %s; ", kv[0], kv[1])
	}
	fmt.Fprintf(&script, "open ftp://%s; ", j.Server)
	for _, f := range j.Files {
		switch j.Operation {
		case Download:
			fmt.Fprintf(&script, "get %s -o %s; ", f.Remote, f.Local)
		case Upload:
			fmt.Fprintf(&script, "put %s -o %s; ", f.Local, f.Remote)
		case Listing:
			fmt.Fprintf(&script, "ls %s > %s; ", f.Remote, f.Local)
		}
	}
	return lab.Command{
		Args: []string{"timeout", fmt.Sprint(int(j.Limit.Seconds())), "lftp", "--norc", "-c", script.String()},
		Env:  []string{"LFTP_HOME=" + os.TempDir()},
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
