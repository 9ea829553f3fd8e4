package kernel

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ftpvip/rules"
)

// batch is one transaction in nf_tables' messages (linux/netfilter/nf_tables.h). The expressions of rules are
// encoded by google/nftables. The messages around them are written here, for what that library does not write:
// the user data that tells nft the type of a slot table, without which `nft list ruleset` prints what `nft -f`
// refuses. All of a transaction is written here then, as the library's own messages go in one of its own.
type batch struct {
	table    string
	native   bool // the kernel has nft's own queue statement
	messages []netlink.Message
	about    []subject // of each message
	sets     uint32    // how many are added
}

// subject is what a message is about, for errors.
type subject struct {
	what    string
	explain func(error) error // adds what an admin can do about it
}

// asIs is for subjects whose errors have no known cause.
func asIs(err error) error { return err }

// maxElements is how many bytes of elements go into one message: the length of an attribute is 16 bits.
const maxElements = 1<<16 - 1024

// add appends a message about the table.
func (b *batch) add(kind netlink.HeaderType, flags netlink.HeaderFlags, what string, encode func(*netlink.AttributeEncoder)) error {
	ae := netlink.NewAttributeEncoder()
	ae.ByteOrder = binary.BigEndian
	encode(ae)
	data, err := ae.Encode()
	if err != nil {
		return fmt.Errorf("encoding %s: %w", what, err)
	}
	b.addRaw(kind, flags, what, data)
	return nil
}

func (b *batch) addRaw(kind netlink.HeaderType, flags netlink.HeaderFlags, what string, data []byte) {
	b.messages = append(b.messages, netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | kind, Flags: netlink.Request | flags},
		Data:   append([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, data...),
	})
	b.about = append(b.about, subject{what, asIs})
}

func (b *batch) tableItself(kind netlink.HeaderType) error {
	return b.add(kind, netlink.Create, "table "+b.table, func(ae *netlink.AttributeEncoder) {
		ae.String(unix.NFTA_TABLE_NAME, b.table)
	})
}

func (b *batch) object(kind netlink.HeaderType, h rules.CTHelper) error {
	return b.add(kind, netlink.Create, "ct helper "+h.Name, func(ae *netlink.AttributeEncoder) {
		ae.String(unix.NFTA_OBJ_TABLE, b.table)
		ae.String(unix.NFTA_OBJ_NAME, h.Name)
		ae.Uint32(unix.NFTA_OBJ_TYPE, unix.NFT_OBJECT_CT_HELPER)
		if kind == unix.NFT_MSG_DELOBJ {
			return
		}
		nested(ae, unix.NFTA_OBJ_DATA, func(ae *netlink.AttributeEncoder) {
			ae.String(unix.NFTA_CT_HELPER_NAME, h.Type)
			ae.Uint16(unix.NFTA_CT_HELPER_L3PROTO, uint16(familyOf(h.Family).nfproto))
			ae.Uint8(unix.NFTA_CT_HELPER_L4PROTO, unix.IPPROTO_TCP)
		})
	})
}

func (b *batch) counter(kind netlink.HeaderType, c rules.Counter) error {
	return b.add(kind, netlink.Create, "counter "+c.Name, func(ae *netlink.AttributeEncoder) {
		ae.String(unix.NFTA_OBJ_TABLE, b.table)
		ae.String(unix.NFTA_OBJ_NAME, c.Name)
		ae.Uint32(unix.NFTA_OBJ_TYPE, unix.NFT_OBJECT_COUNTER)
		if kind == unix.NFT_MSG_NEWOBJ {
			nested(ae, unix.NFTA_OBJ_DATA, func(ae *netlink.AttributeEncoder) {
				ae.Uint64(unix.NFTA_COUNTER_BYTES, 0)
				ae.Uint64(unix.NFTA_COUNTER_PACKETS, 0)
			})
		}
	})
}

func (b *batch) chain(kind netlink.HeaderType, c *rules.Chain) error {
	return b.add(kind, netlink.Create, "chain "+c.Name, func(ae *netlink.AttributeEncoder) {
		ae.String(unix.NFTA_CHAIN_TABLE, b.table)
		ae.String(unix.NFTA_CHAIN_NAME, c.Name)
		if kind == unix.NFT_MSG_DELCHAIN || c.Base == nil {
			return
		}
		nested(ae, unix.NFTA_CHAIN_HOOK, func(ae *netlink.AttributeEncoder) {
			ae.Uint32(unix.NFTA_HOOK_HOOKNUM, hookNumbers[c.Base.Hook])
			ae.Int32(unix.NFTA_HOOK_PRIORITY, int32(c.Base.Priority))
		})
		ae.Uint32(unix.NFTA_CHAIN_POLICY, nfAccept)
		ae.String(unix.NFTA_CHAIN_TYPE, string(c.Base.Type))
	})
}

// nfAccept is a verdict of linux/netfilter.h, which x/sys lacks.
const nfAccept = 1

// hookNumbers are those of enum nf_inet_hooks.
var hookNumbers = map[rules.Hook]uint32{
	rules.HookPrerouting: unix.NF_INET_PRE_ROUTING, rules.HookInput: unix.NF_INET_LOCAL_IN, rules.HookForward: unix.NF_INET_FORWARD,
	rules.HookOutput: unix.NF_INET_LOCAL_OUT, rules.HookPostrouting: unix.NF_INET_POST_ROUTING,
}

func (b *batch) rule(c *rules.Chain, r rules.Rule) error {
	exprs, err := compile(r, b.native)
	if err != nil {
		return err
	}
	if err := b.expressions(c.Name, exprs...); err != nil {
		return fmt.Errorf("encoding rule %q: %w", r, err)
	}
	b.explained(func(err error) error { return lacking(err, r) })
	return nil
}

// expressions adds a rule that is made of them.
func (b *batch) expressions(chain string, exprs ...expr.Any) error {
	encoded := make([][]byte, len(exprs))
	for i, e := range exprs {
		var err error
		if encoded[i], err = expr.Marshal(unix.NFPROTO_INET, e); err != nil {
			return err
		}
	}
	return b.add(unix.NFT_MSG_NEWRULE, netlink.Create|netlink.Append, "rule of chain "+chain, func(ae *netlink.AttributeEncoder) {
		ae.String(unix.NFTA_RULE_TABLE, b.table)
		ae.String(unix.NFTA_RULE_CHAIN, chain)
		nested(ae, unix.NFTA_RULE_EXPRESSIONS, func(ae *netlink.AttributeEncoder) {
			for _, e := range encoded {
				ae.Bytes(unix.NLA_F_NESTED|unix.NFTA_LIST_ELEM, e)
			}
		})
	})
}

// explained notes what explains an error of the last message.
func (b *batch) explained(explain func(error) error) {
	if n := len(b.about); n > 0 {
		b.about[n-1].explain = explain
	}
}

// flushRules deletes all rules of a chain.
func (b *batch) flushRules(c *rules.Chain) error {
	return b.add(unix.NFT_MSG_DELRULE, 0, "rules of chain "+c.Name, func(ae *netlink.AttributeEncoder) {
		ae.String(unix.NFTA_RULE_TABLE, b.table)
		ae.String(unix.NFTA_RULE_CHAIN, c.Name)
	})
}

// elements adds or deletes all elements of a set, in as many messages as they need.
func (b *batch) elements(kind netlink.HeaderType, s *rules.Set) {
	flags := netlink.HeaderFlags(0)
	if kind == unix.NFT_MSG_NEWSETELEM {
		flags = netlink.Create
	}
	var list []byte
	flush := func() {
		var data []byte
		data = attr(data, unix.NFTA_SET_ELEM_LIST_TABLE, b.table+"\x00")
		data = attr(data, unix.NFTA_SET_ELEM_LIST_SET, s.Name+"\x00")
		data = attr(data, unix.NLA_F_NESTED|unix.NFTA_SET_ELEM_LIST_ELEMENTS, string(list))
		b.addRaw(kind, flags, "elements of "+s.Name, data)
		list = list[:0]
	}
	encode := element
	if isList(s) {
		encode = rangeEnds
	}
	for i := range s.Elements {
		list = encode(list, &s.Elements[i])
		if len(list) > maxElements {
			flush()
		}
	}
	if len(list) > 0 {
		flush()
	}
}

// element appends one element. Tables have many, so they are encoded without an encoder.
func element(list []byte, e *rules.Element) []byte {
	const value = unix.NLA_F_NESTED | unix.NFTA_SET_ELEM_KEY
	start := len(list)
	list = append(list, 0, 0, 0, 0)
	list = attrNested(list, value, unix.NFTA_DATA_VALUE, e.Key)
	if e.End != "" {
		list = attrNested(list, unix.NLA_F_NESTED|nftables.NFTA_SET_ELEM_KEY_END, unix.NFTA_DATA_VALUE, e.End)
	}
	switch {
	case e.Goto != "":
		verdict := attr(nil, unix.NFTA_VERDICT_CODE, string(binary.BigEndian.AppendUint32(nil, verdictGoto)))
		verdict = attr(verdict, unix.NFTA_VERDICT_CHAIN, e.Goto+"\x00")
		list = attrNested(list, unix.NLA_F_NESTED|unix.NFTA_SET_ELEM_DATA, unix.NLA_F_NESTED|unix.NFTA_DATA_VERDICT, string(verdict))
	case e.Data != "":
		list = attrNested(list, unix.NLA_F_NESTED|unix.NFTA_SET_ELEM_DATA, unix.NFTA_DATA_VALUE, e.Data)
	}
	binary.NativeEndian.PutUint16(list[start:], uint16(len(list)-start))
	binary.NativeEndian.PutUint16(list[start+2:], unix.NLA_F_NESTED|unix.NFTA_LIST_ELEM)
	return list
}

// verdictGoto is NFT_GOTO as it is sent.
const verdictGoto = unix.NFT_GOTO & 0xffffffff

// attr appends a netlink attribute, padded to 4 bytes.
func attr(b []byte, kind uint16, data string) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofNlAttr+len(data)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, data...)
	for len(b)%unix.NLA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}

// attrNested appends an attribute that holds one other.
func attrNested(b []byte, outer, inner uint16, data string) []byte {
	padded := (len(data) + unix.NLA_ALIGNTO - 1) / unix.NLA_ALIGNTO * unix.NLA_ALIGNTO
	b = binary.NativeEndian.AppendUint16(b, uint16(2*unix.SizeofNlAttr+padded))
	b = binary.NativeEndian.AppendUint16(b, outer)
	return attr(b, inner, data)
}

func nested(ae *netlink.AttributeEncoder, kind uint16, encode func(*netlink.AttributeEncoder)) {
	ae.Nested(kind, func(nae *netlink.AttributeEncoder) error {
		nae.ByteOrder = binary.BigEndian
		encode(nae)
		return nil
	})
}
