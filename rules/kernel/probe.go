package kernel

import (
	"errors"
	"fmt"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ftpvip/rules"
)

// probeName names what a probe would add.
const probeName = rules.TableName + "-probe"

// probe reports whether the kernel has an expression, whose module it may load for it. It sends a batch that ends with the
// deletion of a table that is not there, so the kernel checks everything and does nothing; the first error says
// which message it refused. The expression stands in chain; flowtables are what it refers to, if anything.
func probe(chain *rules.Chain, e expr.Any, flowtables ...rules.Flowtable) (bool, error) {
	b := &batch{table: probeName}
	errs := []error{b.tableItself(unix.NFT_MSG_NEWTABLE), b.chain(unix.NFT_MSG_NEWCHAIN, chain)}
	for _, f := range flowtables {
		errs = append(errs, b.flowtable(unix.NFT_MSG_NEWFLOWTABLE, f))
	}
	errs = append(errs, b.expressions(chain.Name, e))
	b.table = probeName + "-never"
	errs = append(errs, b.tableItself(unix.NFT_MSG_DELTABLE))
	if err := errors.Join(errs...); err != nil {
		return false, err
	}
	_, err := b.send(anyGeneration)
	switch {
	case err == nil:
		return false, fmt.Errorf("probing for %T: the kernel accepted a batch that it must refuse", e)
	case isRefused(err, unix.NFT_MSG_NEWRULE):
		return false, nil
	case isRefused(err, unix.NFT_MSG_DELTABLE):
		return true, nil
	}
	return false, fmt.Errorf("probing for %T: %w", e, Explain(err))
}

// anyGeneration has the kernel take a batch whatever its rules are (net/netfilter/nf_tables_api.c, nf_tables_valid_genid).
const anyGeneration = 0

// isRefused reports whether the kernel refused a message of that type (NFT_MSG_*), since it does not know what it names.
func isRefused(err error, kind netlink.HeaderType) bool {
	r, ok := errors.AsType[*refused](err)
	return ok && r.Type == kind && errors.Is(err, unix.ENOENT)
}

// regularChain is where most expressions are probed.
var regularChain = &rules.Chain{Name: probeName}

// probeQueue looks for nft's queue statement (module nft_queue).
func probeQueue() (bool, error) { return probe(regularChain, &expr.Queue{Num: 0, Total: 1}) }

// HasConnlimit reports whether the kernel can count connections in a rule (module nft_connlimit).
func (k *Kernel) HasConnlimit() (bool, error) { return probe(regularChain, &expr.Connlimit{Count: 1}) }

// HasLimit reports whether the kernel has nft's limit statement (module nft_limit).
func (k *Kernel) HasLimit() (bool, error) {
	return probe(regularChain, &expr.Limit{Type: expr.LimitTypePkts, Rate: 1, Unit: expr.LimitTimeSecond, Burst: 1})
}
