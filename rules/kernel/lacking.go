package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"ftpvip/rules"
)

// noDevice turns the error of a flowtable whose interface is not there into words.
func noDevice(err error) error {
	if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
		return err
	}
	return fmt.Errorf("an interface of offload_devices is not there; see `ip link`: %w", err)
}

// lacking turns the error of a rule that the kernel cannot run into words: an expression that it does not know is
// ENOENT (net/netfilter/nf_tables_api.c, nft_expr_type_get).
func lacking(err error, r rules.Rule) error {
	if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	for _, s := range r.Statements {
		if n := s.Needs(); n.Option != "" {
			return fmt.Errorf("this kernel lacks %s, which %s needs: use a kernel that has it, or delete the key: %w", n.Option, n.Key, err)
		}
	}
	return err
}
