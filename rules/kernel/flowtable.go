package kernel

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ftpvip/rules"
)

// flowtable adds or deletes a flowtable, which counts bytes where connection tracking does.
func (b *batch) flowtable(kind netlink.HeaderType, f rules.Flowtable) error {
	err := b.add(kind, netlink.Create, "flowtable "+f.Name+" of the devices "+f.Devices, func(ae *netlink.AttributeEncoder) {
		ae.String(nftables.NFTA_FLOWTABLE_TABLE, b.table)
		ae.String(nftables.NFTA_FLOWTABLE_NAME, f.Name)
		if kind == unix.NFT_MSG_DELFLOWTABLE {
			return
		}
		nested(ae, nftables.NFTA_FLOWTABLE_HOOK, func(ae *netlink.AttributeEncoder) {
			ae.Uint32(nftables.NFTA_FLOWTABLE_HOOK_NUM, unix.NF_NETDEV_INGRESS)
			ae.Uint32(nftables.NFTA_FLOWTABLE_PRIORITY, 0)
			if f.Devices == "" { // a probe's
				return
			}
			nested(ae, nftables.NFTA_FLOWTABLE_DEVS, func(ae *netlink.AttributeEncoder) {
				for device := range strings.SplitSeq(f.Devices, ",") {
					ae.String(nftables.NFTA_DEVICE_NAME, device)
				}
			})
		})
		ae.Uint32(nftables.NFTA_FLOWTABLE_FLAGS, uint32(nftables.FlowtableFlagsCounter))
	})
	b.explained(noDevice)
	return err
}

// readFlowtables reads the flowtables of our table. One with another hook or other flags than ours is strange.
func (k *Kernel) readFlowtables(r *rules.Ruleset) error {
	list, err := k.conn.ListFlowtables(k.table)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil // a kernel without them
	}
	if err != nil {
		return fmt.Errorf("reading the flowtables of table inet %s: %w", rules.TableName, Explain(err))
	}
	for _, f := range list {
		if f.Flags != nftables.FlowtableFlagsCounter || f.Priority == nil || *f.Priority != 0 {
			r.Strange = append(r.Strange, "a flowtable that is not ours")
			continue
		}
		r.Flowtables = append(r.Flowtables, rules.NewFlowtable(f.Name, f.Devices))
	}
	return nil
}

// HasFlowtables reports whether the kernel has flowtables and nft's statement for them (modules nf_flow_table_inet and
// nft_flow_offload). It changes nothing.
func HasFlowtables() (bool, error) {
	chain := &rules.Chain{Name: probeName, Base: &rules.Base{Type: rules.TypeFilter, Hook: rules.HookForward}}
	has, err := probe(chain, &expr.FlowOffload{Name: probeName}, rules.Flowtable{Name: probeName})
	if isRefused(err, unix.NFT_MSG_NEWFLOWTABLE) || errors.Is(err, unix.EOPNOTSUPP) {
		return false, nil
	}
	return has, err
}
