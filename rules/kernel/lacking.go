package kernel

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"ftpvip/rules"
)

// needs says what a rule asks of the kernel beyond what every table needs: the kernel's option, and the key of the
// configuration that asks for it. "" for rules that need nothing special.
func needs(r rules.Rule) (option, key string) {
	for _, s := range r.Statements {
		switch s := s.(type) {
		case rules.CountOver:
			if s.Key.Selector == rules.Client {
				return "CONFIG_NFT_CONNLIMIT (module nft_connlimit)", "limits.connections_per_client"
			}
			return "CONFIG_NFT_CONNLIMIT (module nft_connlimit)", "limits.connections_per_backend"
		case rules.RateOver:
			return "CONFIG_NFT_LIMIT (module nft_limit)", "limits.new_per_second_per_client"
		}
	}
	return "", ""
}

// noDevice turns the error of a flowtable whose interface is not there into words.
func noDevice(err error, what string) error {
	if !strings.HasPrefix(what, "flowtable ") || !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
		return err
	}
	return fmt.Errorf("an interface of offload_devices is not there; see `ip link`: %w", err)
}

// lacking turns the error of a rule that the kernel cannot run into words: an expression that it does not know is
// ENOENT (net/netfilter/nf_tables_api.c, nft_expr_type_get).
func lacking(err error, r rules.Rule) error {
	option, key := needs(r)
	if option == "" || !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	return fmt.Errorf("this kernel lacks %s, which %s needs: use a kernel that has it, or delete the key: %w", option, key, err)
}
