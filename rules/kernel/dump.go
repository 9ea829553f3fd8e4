package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"ftpvip/rules"
	"ftpvip/rules/nfnl"
)

// dumpBuffer is what the kernel fills with one answer: as much as it ever puts into one (net/netlink/af_netlink.c,
// netlink_recvmsg). Where a tree has many elements that counts: for each answer the kernel walks it from the root.
const dumpBuffer = 32 << 10

// dumpTimeout is how long the kernel may take for one answer.
const dumpTimeout = 20 * time.Second

// dumpList reads the ends of the ranges of a list, which may be hundreds of thousands. The library's own reading asks
// for small answers.
func dumpList(set string) ([]nftables.SetElement, error) {
	socket, err := nfnl.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = socket.Close() }()
	if err := socket.Timeout(dumpTimeout); err != nil {
		return nil, err
	}
	b := nfnl.Append(nil, nfnl.Header{
		Subsystem: unix.NFNL_SUBSYS_NFTABLES, Type: unix.NFT_MSG_GETSETELEM, Flags: unix.NLM_F_DUMP, Family: unix.NFPROTO_INET,
	})
	b = nfnl.AppendAttr(b, unix.NFTA_SET_ELEM_LIST_TABLE, []byte(rules.TableName+"\x00")...)
	b = nfnl.AppendAttr(b, unix.NFTA_SET_ELEM_LIST_SET, []byte(set+"\x00")...)
	nfnl.Finish(b, 0)
	if err := socket.Send(b, nil); err != nil {
		return nil, err
	}
	var elements []nftables.SetElement
	buffer := make([]byte, dumpBuffer)
	for {
		n, err := socket.Receive(buffer)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, fmt.Errorf("waiting for the kernel's answer: %w", err)
		}
		for m, rest, ok := nfnl.Next(buffer[:n]); ok; m, rest, ok = nfnl.Next(rest) {
			switch {
			case m.Err() != nil:
				return nil, m.Err()
			case m.Type == unix.NLMSG_DONE:
				return elements, nil
			}
			elements = appendEnds(elements, m.Attrs)
		}
	}
}

// appendEnds reads the elements of one message.
func appendEnds(elements []nftables.SetElement, attrs []byte) []nftables.SetElement {
	for typ, list, rest, ok := nfnl.NextAttr(attrs); ok; typ, list, rest, ok = nfnl.NextAttr(rest) {
		if typ != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			continue
		}
		for _, one, rest, ok := nfnl.NextAttr(list); ok; _, one, rest, ok = nfnl.NextAttr(rest) {
			elements = append(elements, endOf(one))
		}
	}
	return elements
}

func endOf(attrs []byte) nftables.SetElement {
	var e nftables.SetElement
	for typ, data, rest, ok := nfnl.NextAttr(attrs); ok; typ, data, rest, ok = nfnl.NextAttr(rest) {
		switch typ {
		case unix.NFTA_SET_ELEM_KEY:
			if _, value, _, ok := nfnl.NextAttr(data); ok {
				e.Key = append([]byte(nil), value...)
			}
		case unix.NFTA_SET_ELEM_FLAGS:
			e.IntervalEnd = len(data) == 4 && binary.BigEndian.Uint32(data)&unix.NFT_SET_ELEM_INTERVAL_END != 0
		}
	}
	return e
}
