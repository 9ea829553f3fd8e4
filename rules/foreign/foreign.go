// Package foreign reads other programs' tables out of nf_tables, for those who judge a packet's way through them.
package foreign

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ftpvip/rules"
	"ftpvip/rules/kernel"
	"ftpvip/rules/walk"
)

// walkFamilies are the families of tables that see routed IP packets.
var walkFamilies = map[nftables.TableFamily]walk.Family{
	nftables.TableFamilyINet: walk.INet, nftables.TableFamilyIPv4: walk.IP, nftables.TableFamilyIPv6: walk.IP6,
}

// Read returns all tables but ours. What it cannot decode it returns as unknown.
func Read() (*walk.Ruleset, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	tables, err := conn.ListTables()
	if err != nil {
		return nil, fmt.Errorf("listing tables: %w", kernel.Explain(err))
	}
	chains, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("listing chains: %w", kernel.Explain(err))
	}
	raw, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	defer func() { _ = raw.Close() }()
	r := &walk.Ruleset{}
	for _, t := range tables {
		family, ok := walkFamilies[t.Family]
		if !ok || t.Name == rules.TableName && family == walk.INet || t.Flags&unix.NFT_TABLE_F_DORMANT != 0 {
			continue
		}
		table := &walk.Table{Family: family, Name: t.Name}
		for _, c := range chains {
			if c.Table.Family == t.Family && c.Table.Name == t.Name {
				table.Chains = append(table.Chains, &walk.Chain{Table: table, Name: c.Name, Base: kernel.ReadBase(c)})
			}
		}
		readForeignSets(conn, t, table)
		if err := errors.Join(readForeignRules(raw, t, table), readForeignHelpers(raw, t, table)); err != nil {
			return nil, fmt.Errorf("reading table %s: %w", table, kernel.Explain(err))
		}
		r.Tables = append(r.Tables, table)
	}
	return r, nil
}

// dump asks for all objects of a kind in a table.
func dump(conn *netlink.Conn, kind netlink.HeaderType, t *nftables.Table, nameAttr uint16, each func(ad *netlink.AttributeDecoder) error) error {
	ae := netlink.NewAttributeEncoder()
	ae.String(nameAttr, t.Name)
	data, err := ae.Encode()
	if err != nil {
		return err
	}
	replies, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | kind, Flags: netlink.Request | netlink.Dump},
		Data:   append([]byte{byte(t.Family), unix.NFNETLINK_V0, 0, 0}, data...),
	})
	if err != nil {
		return err
	}
	for _, m := range replies {
		if len(m.Data) < 4 {
			continue
		}
		ad, err := netlink.NewAttributeDecoder(m.Data[4:])
		if err != nil {
			return err
		}
		ad.ByteOrder = binary.BigEndian
		if err := each(ad); err != nil {
			return err
		}
	}
	return nil
}

// readForeignRules reads rules without google/nftables, which leaves out the expressions that it does not know: a rule
// without one of its conditions would mean something else.
func readForeignRules(conn *netlink.Conn, t *nftables.Table, table *walk.Table) error {
	return dump(conn, unix.NFT_MSG_GETRULE, t, unix.NFTA_RULE_TABLE, func(ad *netlink.AttributeDecoder) error {
		var of, chain string
		var r walk.Rule
		for ad.Next() {
			switch ad.Type() {
			case unix.NFTA_RULE_TABLE:
				of = ad.String()
			case unix.NFTA_RULE_CHAIN:
				chain = ad.String()
			case unix.NFTA_RULE_HANDLE:
				r.Handle = ad.Uint64()
			case unix.NFTA_RULE_EXPRESSIONS:
				r.Exprs = decodeExprs(ad.Bytes())
			}
		}
		if c := table.Chain(chain); c != nil && of == t.Name {
			c.Rules = append(c.Rules, r)
		}
		return ad.Err()
	})
}

func readForeignHelpers(conn *netlink.Conn, t *nftables.Table, table *walk.Table) error {
	table.Helpers = map[string]string{}
	return dump(conn, unix.NFT_MSG_GETOBJ, t, unix.NFTA_OBJ_TABLE, func(ad *netlink.AttributeDecoder) error {
		var of, name, helper string
		var kind uint32
		for ad.Next() {
			switch ad.Type() {
			case unix.NFTA_OBJ_TABLE:
				of = ad.String()
			case unix.NFTA_OBJ_NAME:
				name = ad.String()
			case unix.NFTA_OBJ_TYPE:
				kind = ad.Uint32()
			case unix.NFTA_OBJ_DATA:
				ad.Nested(func(ad *netlink.AttributeDecoder) error {
					for ad.Next() {
						if ad.Type() == unix.NFTA_CT_HELPER_NAME {
							helper = string(bytes.TrimRight(ad.Bytes(), "\x00"))
						}
					}
					return nil
				})
			}
		}
		if of == t.Name && kind == unix.NFT_OBJECT_CT_HELPER {
			table.Helpers[name] = helper
		}
		return ad.Err()
	})
}

// readForeignSets reads the sets of a table. A set that google/nftables cannot read is not there for the walk, which
// then says that it cannot tell.
func readForeignSets(conn *nftables.Conn, t *nftables.Table, table *walk.Table) {
	table.Sets = map[string]*walk.Set{}
	sets, err := conn.GetSets(t)
	if err != nil {
		return // one strange type spoils the list; each rule that uses a set then says so
	}
	for _, s := range sets {
		set := &walk.Set{}
		table.Sets[s.Name] = set
		elements, err := conn.GetSetElements(s)
		if err != nil {
			set.Opaque = "whose elements cannot be read"
			continue
		}
		for _, t := range nftables.ConcatSetTypeElements(s.KeyType) {
			set.Fields = append(set.Fields, int(t.Bytes+3)&^3)
		}
		set.Elements = foreignElements(elements, s.Interval)
	}
}

// foreignElements makes ranges of the elements of interval sets: there the kernel lists where each range begins, and
// where what follows it begins.
func foreignElements(list []nftables.SetElement, interval bool) []walk.Element {
	var out []walk.Element
	if interval {
		list = slices.Clone(list)
		slices.SortStableFunc(list, func(a, b nftables.SetElement) int {
			if c := bytes.Compare(a.Key, b.Key); c != 0 || a.IntervalEnd == b.IntervalEnd {
				return c
			}
			if a.IntervalEnd {
				return -1
			}
			return 1
		})
	}
	for i := range list {
		e := &list[i]
		if e.IntervalEnd {
			continue
		}
		el := walk.Element{Key: e.Key, End: e.KeyEnd, Data: e.Val, Verdict: decodeVerdict(e.Val), CatchAll: len(e.Key) == 0}
		if interval && el.End == nil {
			el.End = bytes.Repeat([]byte{0xff}, len(e.Key))
			if i+1 < len(list) {
				el.End = before(list[i+1].Key)
			}
		}
		out = append(out, el)
	}
	return out
}

// before is the key before k.
func before(k []byte) []byte {
	b := bytes.Clone(k)
	for i := len(b) - 1; i >= 0; i-- {
		b[i]--
		if b[i] != 0xff {
			break
		}
	}
	return b
}
