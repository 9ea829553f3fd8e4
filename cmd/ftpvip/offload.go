package main

import (
	"errors"

	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/rules/kernel"
)

// noFlowtables is what an admin is told whose kernel lacks what the file asks for.
const noFlowtables = "this kernel has no flowtables (CONFIG_NF_FLOW_TABLE_INET, CONFIG_NFT_FLOW_OFFLOAD): VIPs with offload: flowtable " +
	"work without; use a kernel that has them, or delete the key"

// offloadable returns the configuration without offload where the kernel cannot do it. Who may not ask the kernel gets
// the benefit of the doubt.
func offloadable(cfg *configs.Config) (usable *configs.Config, lacking bool, err error) {
	if !cfg.Offloads() {
		return cfg, false, nil
	}
	has, err := kernel.HasFlowtables()
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return cfg, false, nil
	case err != nil:
		return nil, false, err
	case has:
		return cfg, false, nil
	}
	return cfg.WithoutOffload(), true, nil
}

// usable is offloadable that logs what is lacking.
func (a *app) usable(cfg *configs.Config) (*configs.Config, error) {
	usable, lacking, err := offloadable(cfg)
	if lacking {
		a.log.Warn(noFlowtables)
	}
	return usable, err
}
