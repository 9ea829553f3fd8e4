package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/server"
)

// clients is how many client addresses of each family there are.
const clients = 8

// fall is how many checks a server must fail before it gets no new sessions.
const fall = 2

// demo is one run.
type demo struct {
	story     *story
	helperLog io.Writer

	lab     *lab.Lab
	servers []*server.Server
	ftpvip  *lab.Program
	helper  *lab.Helper

	rows, bad int // of the tables
}

func (d *demo) run(ctx context.Context) error {
	path, err := lab.FindProgram()
	if err != nil {
		return err
	}
	d.story.say("ftpvip: FTP servers behind one virtual IP (VIP). Everything here happens in network namespaces of its own.")
	for _, step := range []func(context.Context) error{
		d.network,
		d.startServers,
		func(ctx context.Context) error { return d.start(ctx, path) },
		d.transfers,
		d.failover,
		d.status,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// close takes everything down.
func (d *demo) close() {
	if d.lab != nil {
		_ = d.lab.Close()
	}
}

// vip returns the VIP's address and port.
func (d *demo) vip(f configs.Family) netip.AddrPort {
	return netip.AddrPortFrom(d.lab.VIPs[0].Of(f), server.Port)
}

// mark counts a row and says how it is.
func (d *demo) mark(problem error) string {
	d.rows++
	if problem != nil {
		d.bad++
		return strings.ReplaceAll(fmt.Sprintf("FAILED: %v", problem), "\n", "; ")
	}
	return "OK"
}

// network builds the lab.
func (d *demo) network(ctx context.Context) (err error) {
	d.story.heading("A network: a client, a balancer with the VIP, and two servers behind it")
	options := lab.Options{Backends: 2, Clients: clients, Firewall: true, Log: d.story.detail}
	d.lab, err = lab.New(ctx, options)
	missing := (*lab.Missing)(nil)
	if errors.As(err, &missing) && missing.Feature == lab.NFT {
		options.Firewall = false
		d.lab, err = lab.New(ctx, options)
	}
	if err != nil {
		return err
	}
	l := d.lab
	d.story.quote(fmt.Sprintf(`
client                     balancer                     backend1
%-15s  --------  VIP %-13s ----+----  %s
%-15s            VIP %-13s     |      %s
                                                 |
                                                 |      backend2
                                                 +----  %s
                                                        %s

`,
		l.ClientAddrs[0].V4, l.VIPs[0].V4, l.Backends[0].Addrs.V4,
		l.ClientAddrs[0].V6, l.VIPs[0].V6, l.Backends[0].Addrs.V6,
		l.Backends[1].Addrs.V4, l.Backends[1].Addrs.V6))
	if !options.Firewall {
		d.story.say("   The balancer has no firewall, because there is no `nft` here to load one.")
		return nil
	}
	d.story.say("   The balancer has an admin's firewall, which knows nothing of FTP's data connections:")
	d.story.quote(lab.AdminFirewall)
	return nil
}

// startServers starts one FTP server on each backend.
func (d *demo) startServers(ctx context.Context) error {
	d.story.heading("An FTP server on each backend, which knows nothing of the VIP")
	for i, b := range d.lab.Backends {
		s, err := server.Start(ctx, d.lab, b, server.Embedded, fmt.Sprintf("ftp%d", i+1))
		if err != nil {
			return err
		}
		d.servers = append(d.servers, s)
		d.story.say("   %s listens on %s and %s, port %d", s.Name, b.Addrs.V4, b.Addrs.V6, server.Port)
	}
	return nil
}

// start configures ftpvip on the balancer, applies that and starts the helper.
func (d *demo) start(ctx context.Context, path string) error {
	config := lab.Config("", lab.Farm{
		Name: "farm", VIP: d.lab.VIPs[0], Backends: d.lab.Backends, Timeout: time.Second, Rise: 1, Fall: fall,
	})
	d.story.heading("ftpvip on the balancer, with this /etc/ftpvip/ftpvip.yaml")
	d.story.quote(config)
	var err error
	if d.ftpvip, err = d.lab.Program(path, config); err != nil {
		return err
	}
	d.story.say("\n   balancer# ftpvip apply     # the kernel's rules")
	if err := d.do(ctx, "apply"); err != nil {
		return err
	}
	d.story.say("\n   balancer# ftpvip helper &  # reads control connections")
	begin := time.Now()
	if d.helper, err = d.ftpvip.StartHelper(ctx, d.helperLog); err != nil {
		return err
	}
	d.story.say("   READY after %d ms", time.Since(begin).Milliseconds())
	return d.show(ctx, "health", "one round of checks; a timer does this")
}

// status shows what ftpvip says about itself.
func (d *demo) status(ctx context.Context) error {
	d.story.heading("What ftpvip says of all this")
	return d.show(ctx, "status", "")
}

// show prints the command line of a verb, runs it and prints what it says.
func (d *demo) show(ctx context.Context, verb, why string) error {
	line := "balancer# ftpvip " + verb
	if why != "" {
		line += "  # " + why
	}
	d.story.say("\n   %s", line)
	return d.do(ctx, verb)
}

// do runs a verb and prints what it says.
func (d *demo) do(ctx context.Context, verb string) error {
	r, err := d.ftpvip.Do(ctx, verb)
	d.story.quote(r.Stdout)
	if d.story.verbose {
		d.story.quote(r.Stderr)
	}
	return err
}
