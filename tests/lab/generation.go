package lab

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Generation returns the number of the namespace's nftables ruleset, which grows by one with each transaction that is
// committed (nft_net.base_seq in the kernel).
func (n *Namespace) Generation() (gen uint32, err error) {
	err = n.Do(func() error {
		r := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN, unix.NLM_F_REQUEST)
		r.AddRawData([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0})
		replies, err := r.Execute(unix.NETLINK_NETFILTER, 0)
		if err != nil {
			return err
		}
		for _, reply := range replies {
			if len(reply) < 4 {
				continue
			}
			attrs, err := nl.ParseRouteAttr(reply[4:])
			if err != nil {
				return err
			}
			for _, a := range attrs {
				if a.Attr.Type == unix.NFTA_GEN_ID && len(a.Value) == 4 {
					gen = binary.BigEndian.Uint32(a.Value)
					return nil
				}
			}
		}
		return errors.New("no generation in the reply")
	})
	if err != nil {
		return 0, fmt.Errorf("asking for the ruleset's generation in %s: %w", n.Name, err)
	}
	return gen, nil
}
