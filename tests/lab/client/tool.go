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
	Curl  Tool = "curl"
	LFTP  Tool = "lftp"
	TNFTP Tool = "tnftp"
	// LFTPPipelined is lftp that sends commands before it has the replies to earlier ones.
	LFTPPipelined Tool = "lftp-pipelined"
)

// Needs lists what a machine must have to run the tool.
func (t Tool) Needs() []lab.Feature {
	switch t {
	case LFTP, LFTPPipelined:
		return []lab.Feature{lab.LFTP}
	case TNFTP:
		return []lab.Feature{lab.TNFTP}
	case Curl:
	}
	return []lab.Feature{lab.Curl}
}

// Modes lists the modes that the tool speaks in a family: lftp never says EPRT over IPv4.
func (t Tool) Modes(f configs.Family) []Mode {
	if (t == LFTP || t == LFTPPipelined) && f == configs.IPv4 {
		return []Mode{PASV, EPSV, PORT}
	}
	return Modes(f)
}

// Job is what a tool is to do: any number of transfers, one after the other, over one control connection.
type Job struct {
	Mode   Mode
	Server netip.AddrPort
	Files  []File
	Limit  time.Duration // for the whole job; default 30 s
	TLS    *TLS          // nil: in the clear
}

// TLS is how a job is encrypted, its data too. The tools tnftp and LFTPPipelined do not know it.
type TLS struct {
	CA       string // path of a PEM file; the server's certificate must be of it
	Implicit bool   // from the first byte; else after AUTH TLS
}

// scheme is the URL's.
func (j Job) scheme() string {
	if j.TLS != nil && j.TLS.Implicit {
		return "ftps"
	}
	return "ftp"
}

// File is one transfer and the two names of its file. Remote of a listing is the folder.
type File struct {
	Operation Operation
	Local     string
	Remote    string
}

// Do runs a job on a host of the lab. It is an error if the tool fails, takes longer than the limit, uses another
// mode, uses more than one control connection, or if a PASV reply names any address but the server's. The result is
// there in every case.
func (t Tool) Do(ctx context.Context, host *lab.Namespace, j Job) (lab.Result, error) {
	if j.Limit == 0 {
		j.Limit = 30 * time.Second
	}
	command, log := curl(j), curlLog
	switch t {
	case LFTP:
		command, log = lftp(j, false), lftpLog
	case LFTPPipelined:
		command, log = lftp(j, true), lftpLog
	case TNFTP:
		command, log = tnftp(j), tnftpLog
	case Curl:
	}
	ctx, cancel := context.WithTimeoutCause(ctx, j.Limit, fmt.Errorf("%s took longer than %v", t, j.Limit))
	defer cancel()
	r, err := host.Run(ctx, command)
	switch {
	case err != nil:
		return r, err // the result is in it
	case r.Code != 0:
		err = fmt.Errorf("%s failed", t)
	default:
		err = log.check(r.Stderr+r.Stdout, j)
	}
	if err != nil {
		return r, fmt.Errorf("%w\n%s", err, r)
	}
	return r, nil
}

// idle is how many seconds a tool may wait for anything.
const idle = "30"

func curl(j Job) lab.Command {
	args := []string{"curl", "-q", "--fail-early"}
	for i, f := range j.Files {
		if i > 0 {
			args = append(args, "--next") // forgets the options
		}
		args = append(args, "--silent", "--show-error", "--verbose", "--ftp-method", "nocwd",
			"--connect-timeout", idle, "--speed-time", idle,
			"--no-ftp-skip-pasv-ip", // else curl would not believe the 227
		)
		switch j.Mode {
		case PASV:
			args = append(args, "--disable-epsv")
		case PORT:
			args = append(args, "--ftp-port", "-", "--disable-eprt")
		case EPRT:
			args = append(args, "--ftp-port", "-")
		case EPSV:
		}
		if j.TLS != nil {
			args = append(args, "--ssl-reqd", "--cacert", j.TLS.CA)
		}
		url := fmt.Sprintf("%s://%s/%s", j.scheme(), j.Server, f.Remote)
		switch f.Operation {
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

func lftp(j Job, pipelined bool) lab.Command {
	set := [][2]string{
		{"cmd:fail-exit", "yes"},
		{"net:timeout", idle},
		{"net:max-retries", "1"},
		{"xfer:clobber", "yes"},
		{"ftp:ssl-allow", yesNo(j.TLS != nil)},
		{"ftp:fix-pasv-address", "no"}, // believe the 227
		{"ftp:passive-mode", yesNo(!j.Mode.Active())},
		{"ftp:prefer-epsv", yesNo(j.Mode == EPSV)},
		{"ftp:sync-mode", yesNo(!pipelined)},
	}
	if j.TLS != nil {
		set = append(set, [][2]string{
			{"ftp:ssl-force", "yes"}, {"ftp:ssl-allow-anonymous", "yes"}, {"ftp:ssl-protect-data", "yes"}, {"ftp:ssl-protect-list", "yes"},
			{"ssl:ca-file", j.TLS.CA}, {"ssl:verify-certificate", "yes"},
		}...)
	}
	var script strings.Builder
	script.WriteString("debug 5; ")
	for _, kv := range set {
		fmt.Fprintf(&script, "set %s %s; ", kv[0], kv[1])
	}
	fmt.Fprintf(&script, "open %s://%s; ", j.scheme(), j.Server)
	for _, f := range j.Files {
		switch f.Operation {
		case Download:
			fmt.Fprintf(&script, "get %s -o %s; ", f.Remote, f.Local)
		case Upload:
			fmt.Fprintf(&script, "put %s -o %s; ", f.Local, f.Remote)
		case Listing:
			fmt.Fprintf(&script, "ls %s > %s; ", f.Remote, f.Local)
		}
	}
	return lab.Command{
		Args: []string{"lftp", "--norc", "-c", script.String()},
		Env:  []string{"LFTP_HOME=" + os.TempDir()},
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
