package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ftpvip/tests/lab"
)

// conntrackdConfig is a conntrackd that does nothing but help FTP; the values are those of its manual.
const conntrackdConfig = `General {
	Syslog off
	LogFile off
	Systemd off
	LockFile %[1]s/conntrackd.lock
	UNIX {
		Path %[1]s/conntrackd.ctl
		Backlog 20
	}
	SocketBufferSize 262142
	SocketBufferSizeMaxGrown 655355
}
Helper {
	Type ftp inet tcp {
		QueueNum 0
		QueueLen 10240
		Policy ftp {
			ExpectMax 1
			ExpectTimeout 300
		}
	}
}
`

// conntrackd is the userspace FTP helper of conntrack-tools: the kernel hands it every packet of the control
// connection.
func conntrackd() kind {
	return kind{
		key: "conntrackd", title: "conntrackd", rewrites: true, exclusive: true, optional: true,
		check: func() error {
			for _, program := range []string{"conntrackd", "nfct"} {
				if _, err := exec.LookPath(program); err != nil {
					return fmt.Errorf("%w; install Debian's package %s", err, program)
				}
			}
			return errors.Join(lab.NFT.Check(), lab.CTHelper.Check())
		},
		on:  startConntrackd,
		off: stopConntrackd,
	}
}

func startConntrackd(ctx context.Context, p *peer) error {
	path := filepath.Join(p.lab.Dir, "conntrackd.conf")
	if err := os.WriteFile(path, fmt.Appendf(nil, conntrackdConfig, p.lab.Dir), 0o644); err != nil {
		return err
	}
	if err := p.run(ctx, "nfct", "add", "helper", "ftp", "inet", "tcp"); err != nil {
		return err
	}
	var err error
	p.helper, err = p.lab.Balancer.Start(p.lab.Context(), lab.Command{Args: []string{"conntrackd", "-C", path}})
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.helper.Done():
			return fmt.Errorf("it ended at once: %s", p.helper.Kill())
		default:
		}
		queues, err := p.queues()
		switch {
		case err != nil:
			return err
		case strings.TrimSpace(queues) != "":
			return p.lab.Firewall(p.helperTable(p.relatedRule()))
		case time.Now().After(deadline):
			return fmt.Errorf("it does not open its queue: %s", p.helper.Kill())
		}
	}
}

// relatedRule sends data connections to the backend. conntrackd 1.4.7 should see to that, but its expectations arrive
// in the kernel without any NAT: their connections are RELATED, and end at the VIP itself. With one backend a rule of
// the admin's can help.
func (p *peer) relatedRule() string {
	return fmt.Sprintf(`	chain data {
		type nat hook prerouting priority dstnat + 1;
		ip daddr %s ct state related dnat to %s
	}
`, p.vip().Addr(), p.backend())
}

func stopConntrackd(ctx context.Context, p *peer) error {
	if err := p.lab.Firewall(deleteTable); err != nil {
		return err
	}
	_ = p.helper.Signal(unix.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := p.helper.Wait(ctx); err != nil {
		p.helper.Kill()
	}
	return p.retry(ctx, "nfct", "delete", "helper", "ftp", "inet", "tcp")
}
