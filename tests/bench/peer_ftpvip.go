package main

import "context"

// ftpvipKey names the one that the others are compared with.
const ftpvipKey = "ftpvip"

// ftpvip is the real program with its defaults: apply, and the helper.
func ftpvip(path string) kind {
	return kind{
		key: ftpvipKey, title: "ftpvip", rewrites: true,
		on: func(ctx context.Context, p *peer) error {
			program, err := p.program(path)
			if err != nil {
				return err
			}
			if _, err := program.Do(ctx, "apply"); err != nil {
				return err
			}
			h, err := program.StartHelper(ctx, nil)
			if err != nil {
				return err
			}
			p.helper = h.Process
			return nil
		},
	}
}
