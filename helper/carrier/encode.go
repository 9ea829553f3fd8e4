package carrier

import (
	"encoding/binary"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/rules"
)

// encodeName writes what identifies our helper: its name and the protocols it is for.
func encodeName(ae *netlink.AttributeEncoder, f configs.Family) {
	ae.ByteOrder = binary.BigEndian
	ae.String(attrName, rules.CTHelperName)
	ae.Nested(attrTuple, func(nae *netlink.AttributeEncoder) error {
		nae.ByteOrder = binary.BigEndian
		nae.Uint16(tupleL3, l3proto(f))
		nae.Uint8(tupleL4, unix.IPPROTO_TCP)
		return nil
	})
}

// encodeHelper writes a whole helper, disabled (status 0), with one class of expectations.
func encodeHelper(ae *netlink.AttributeEncoder, f configs.Family) {
	encodeName(ae, f)
	ae.Uint32(attrQueueNum, 0)
	ae.Nested(attrPolicy, func(nae *netlink.AttributeEncoder) error {
		nae.ByteOrder = binary.BigEndian
		nae.Uint32(policySetNum, 1)
		nae.Nested(policySet, func(set *netlink.AttributeEncoder) error {
			set.ByteOrder = binary.BigEndian
			set.String(policyName, rules.CTHelperName)
			set.Uint32(policyMax, expectMax)
			set.Uint32(policyTimeout, expectTimeout)
			return nil
		})
		return nil
	})
	ae.Uint32(attrPrivLen, 0)
	ae.Uint32(attrStatus, 0)
}

// decodeHelper reads the name and the layer 3 protocol of a listed helper.
func decodeHelper(b []byte) (name string, l3 uint16, err error) {
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return "", 0, err
	}
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		switch ad.Type() {
		case attrName:
			name = ad.String()
		case attrTuple:
			ad.Nested(func(nad *netlink.AttributeDecoder) error {
				nad.ByteOrder = binary.BigEndian
				for nad.Next() {
					if nad.Type() == tupleL3 {
						l3 = nad.Uint16()
					}
				}
				return nad.Err()
			})
		}
	}
	return name, l3, ad.Err()
}
