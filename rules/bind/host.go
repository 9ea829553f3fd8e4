package bind

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Protocol is the mark of our addresses, IFA_PROTO of linux/if_addr.h: the number is stored and shown by the kernel,
// and of no meaning to it. Linux has it since 5.18. `ip addr show proto 118` lists what is ours.
const Protocol = 118

// ifaProto is IFA_PROTO, which vishvananda/netlink and x/sys lack; so these messages are written here.
const ifaProto = 11

// addrMessage is the length of struct ifaddrmsg.
const addrMessage = 8

// Read lists the addresses of the host.
func Read() ([]Held, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("listing interfaces: %w", err)
	}
	names := make(map[uint32]string, len(links))
	for _, l := range links {
		names[uint32(l.Index)] = l.Name
	}
	answers, err := ask(unix.RTM_GETADDR, netlink.Dump, make([]byte, addrMessage))
	if err != nil {
		return nil, fmt.Errorf("listing addresses: %w", err)
	}
	var have []Held
	for _, m := range answers {
		if h, ok := decode(m.Data, names); ok {
			have = append(have, h)
		}
	}
	return have, nil
}

// decode reads one address. It is not ok where the message is about none.
func decode(data []byte, names map[uint32]string) (Held, bool) {
	if len(data) < addrMessage {
		return Held{}, false
	}
	h := Held{Address: Address{Interface: names[binary.NativeEndian.Uint32(data[4:])]}}
	attributes, err := netlink.UnmarshalAttributes(data[addrMessage:])
	if err != nil {
		return Held{}, false
	}
	for _, a := range attributes {
		addr, isAddr := netip.AddrFromSlice(a.Data)
		switch {
		case a.Type == unix.IFA_LOCAL && isAddr, a.Type == unix.IFA_ADDRESS && isAddr && !h.Addr.IsValid():
			h.Addr = addr // IFA_ADDRESS alone is the address of a link that is not point to point
		case a.Type == ifaProto && len(a.Data) == 1:
			h.Ours = a.Data[0] == Protocol
		}
	}
	return h, h.Addr.IsValid() && h.Interface != ""
}

// Apply carries out a plan. undo restores the state before, also after an Apply that failed half-way.
func Apply(p Plan) (undo func() error, err error) {
	var added, deleted []Address
	undo = func() error {
		var errs []error
		for _, a := range slices.Backward(deleted) {
			errs = append(errs, add(a))
		}
		for _, a := range slices.Backward(added) {
			errs = append(errs, remove(a))
		}
		added, deleted = nil, nil
		return errors.Join(errs...)
	}
	for _, a := range p.Add { // first, so that an address that moves is always there
		if err := add(a); err != nil {
			return undo, err
		}
		added = append(added, a)
	}
	for _, a := range p.Delete {
		if err := remove(a); err != nil {
			return undo, err
		}
		deleted = append(deleted, a)
	}
	return undo, nil
}

// add adds an address. It is there at once, without the time that IPv6 takes to look for duplicates.
func add(a Address) error {
	attributes := []netlink.Attribute{
		{Type: unix.IFA_LOCAL, Data: a.Addr.AsSlice()},
		{Type: unix.IFA_ADDRESS, Data: a.Addr.AsSlice()},
		{Type: unix.IFA_FLAGS, Data: binary.NativeEndian.AppendUint32(nil, unix.IFA_F_NODAD)},
		{Type: ifaProto, Data: []byte{Protocol}},
	}
	if a.Addr.Is6() {
		// Deprecated, which is to say preferred for no time: the host's own connections do not come from the VIP.
		info := binary.NativeEndian.AppendUint32(nil, 0)
		info = binary.NativeEndian.AppendUint32(info, math.MaxUint32) // valid for ever
		attributes = append(attributes, netlink.Attribute{Type: unix.IFA_CACHEINFO, Data: append(info, make([]byte, 8)...)})
	}
	err := send(unix.RTM_NEWADDR, netlink.Create|netlink.Excl, a, attributes)
	switch {
	case errors.Is(err, unix.EACCES) && a.Addr.Is6():
		return fmt.Errorf("adding address %s: IPv6 is off on %s; see `sysctl net.ipv6.conf.%s.disable_ipv6`", a, a.Interface, a.Interface)
	case err != nil:
		return fmt.Errorf("adding address %s: %w", a, err)
	}
	return nil
}

// remove removes an address; one that is gone already is no error.
func remove(a Address) error {
	err := send(unix.RTM_DELADDR, 0, a, []netlink.Attribute{{Type: unix.IFA_LOCAL, Data: a.Addr.AsSlice()}})
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, errNoInterface) {
		return fmt.Errorf("deleting address %s: %w", a, err)
	}
	return nil
}

var errNoInterface = errors.New("there is no interface of that name; see `ip link`")

// send sends a message about one address.
func send(kind netlink.HeaderType, flags netlink.HeaderFlags, a Address, attributes []netlink.Attribute) error {
	link, err := net.InterfaceByName(a.Interface)
	if err != nil {
		return errNoInterface
	}
	family := byte(unix.AF_INET)
	if a.Addr.Is6() {
		family = unix.AF_INET6
	}
	head := binary.NativeEndian.AppendUint32([]byte{family, byte(a.Addr.BitLen()), 0, unix.RT_SCOPE_UNIVERSE}, uint32(link.Index))
	body, err := netlink.MarshalAttributes(attributes)
	if err != nil {
		return err
	}
	_, err = ask(kind, flags|netlink.Acknowledge, append(head, body...))
	return err
}

func ask(kind netlink.HeaderType, flags netlink.HeaderFlags, data []byte) ([]netlink.Message, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	defer func() { _ = conn.Close() }()
	return conn.Execute(netlink.Message{Header: netlink.Header{Type: kind, Flags: netlink.Request | flags}, Data: data})
}
