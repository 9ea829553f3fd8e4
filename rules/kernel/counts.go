package kernel

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"ftpvip/rules"
)

// Counts returns the packets of each named counter of our table; none where there is no table.
func (k *Kernel) Counts() (map[string]uint64, error) {
	counts := map[string]uint64{}
	t, err := k.find()
	if err != nil || t == nil {
		return counts, err
	}
	objects, err := k.conn.GetNamedObjects(k.table)
	if err != nil {
		return nil, fmt.Errorf("reading the counters of table inet %s: %w", rules.TableName, Explain(err))
	}
	for _, o := range objects {
		named, ok := o.(*nftables.NamedObj)
		if !ok {
			continue
		}
		if c, ok := named.Obj.(*expr.Counter); ok {
			counts[named.Name] = c.Packets
		}
	}
	return counts, nil
}
