package main

import (
	"context"

	"ftpvip/tests/lab"
)

// kernelHelper is nf_conntrack_ftp with nf_nat_ftp: the control connection is read and rewritten in the kernel.
func kernelHelper() kind {
	return kind{
		key: "kernel", title: "kernel's helper", rewrites: true, exclusive: true, optional: true, check: lab.NFT.Check,
		on: func(ctx context.Context, p *peer) error {
			// Where it is not a module it is there already, and if it is missing loading the rules says so.
			_ = p.run(ctx, "modprobe", "nf_nat_ftp")
			return p.lab.Firewall(p.helperTable(""))
		},
		off: func(ctx context.Context, p *peer) error {
			if err := p.lab.Firewall(deleteTable); err != nil {
				return err
			}
			return p.retry(ctx, "modprobe", "-r", "nf_nat_ftp", "nf_conntrack_ftp")
		},
	}
}
