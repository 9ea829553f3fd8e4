package main

import (
	"context"
	"strconv"

	"github.com/spf13/viper"

	"ftpvip/configs"
	"ftpvip/tests/lab"
)

// floor is ftpvip's own table with readers that accept every packet unread: what no helper in userspace can be faster
// than where the kernel queues the same packets. Its 227 replies name the backend, as with plain DNAT.
func floor(path string) kind {
	return kind{
		key: "floor", title: "queue, unread", optional: true,
		on: func(ctx context.Context, p *peer) error {
			program, err := p.program(path)
			if err != nil {
				return err
			}
			if _, err := program.Do(ctx, "apply"); err != nil {
				return err
			}
			cfg, err := configs.Load(program.Config, viper.New())
			if err != nil {
				return err
			}
			for i := range cfg.Helper.Queues {
				queue := strconv.Itoa(int(cfg.Helper.FirstQueue) + i)
				if err := startChild(p.lab.Context(), p.lab.Balancer, childAccept, queue); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// program is ftpvip on the balancer, with the defaults.
func (p *peer) program(path string) (*lab.Program, error) {
	return p.lab.Program(path, lab.Config("", lab.Farm{Name: "farm", VIP: p.lab.VIPs[0], Backends: p.lab.Backends}))
}
