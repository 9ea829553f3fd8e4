// Package kernel carries rules.Ruleset to the kernel's nf_tables and back. It is the only importer of
// google/nftables. Everything it writes is one transaction, and nothing but the table `inet ftpvip`.
package kernel

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"ftpvip/rules"
)

// ErrChanged says that somebody changed the kernel's rules between Read and Commit: read again.
var ErrChanged = errors.New("the kernel's rules changed meanwhile")

// Kernel is nf_tables of the current network namespace.
type Kernel struct {
	conn        *nftables.Conn
	table       *nftables.Table
	nativeQueue bool
	generation  uint32
	written     int
}

// Open connects to nf_tables and finds out what the kernel can do.
func Open() (*Kernel, error) {
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket to nf_tables: %w", Explain(err))
	}
	k := &Kernel{conn: conn, table: &nftables.Table{Name: rules.TableName, Family: nftables.TableFamilyINet}}
	if k.nativeQueue, err = probeQueue(); err != nil {
		return nil, errors.Join(err, conn.CloseLasting())
	}
	return k, nil
}

// Close ends the connection.
func (k *Kernel) Close() error { return k.conn.CloseLasting() }

// Flush deletes the whole table. It reports whether there was one.
func (k *Kernel) Flush() (bool, error) {
	t, err := k.find()
	if err != nil || t == nil {
		return false, err
	}
	k.conn.DelTable(k.table)
	if err := k.conn.Flush(); err != nil {
		return false, fmt.Errorf("deleting table inet %s: %w", rules.TableName, Explain(err))
	}
	return true, nil
}

// Exists reports whether our table is in the kernel.
func (k *Kernel) Exists() (bool, error) {
	t, err := k.find()
	return t != nil, err
}

// find returns our table, or nil.
func (k *Kernel) find() (*nftables.Table, error) {
	tables, err := k.conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, fmt.Errorf("listing tables: %w", Explain(err))
	}
	for _, t := range tables {
		if t.Name == rules.TableName {
			return t, nil
		}
	}
	return nil, nil
}

// Explain adds what an admin can do about the errors of netlink that have a known cause.
func Explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: run as root or with CAP_NET_ADMIN", err)
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("%w: this kernel has no nf_tables; try `modprobe nf_tables nfnetlink`", err)
	}
	return err
}

// HasQueue reports whether the kernel has nft's own queue statement; where not, the xtables target NFQUEUE serves.
func (k *Kernel) HasQueue() bool { return k.nativeQueue }

// Written is how many bytes Commit has sent to the kernel so far.
func (k *Kernel) Written() int { return k.written }
