// Package carrier provides the conntrack helper that control connections carry. An expectation can hang only
// on a connection with a helper extension, so each control connection gets one that does nothing by itself:
// our own, registered disabled through nfnetlink_cthelper where the kernel has that, else the kernel's SANE
// helper, which reacts to SANE's own binary request alone and is inert on FTP.
package carrier

import (
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ftpvip/configs"
	"ftpvip/rules"
)

// ErrUnavailable says that the kernel has no nfnetlink_cthelper.
var ErrUnavailable = errors.New("this kernel has no nfnetlink_cthelper: " +
	"try `modprobe nfnetlink_cthelper`, or set helper.carrier to auto or sane")

// Messages and attributes of linux/netfilter/nfnetlink_cthelper.h.
const (
	subsystem = 9 // NFNL_SUBSYS_CTHELPER

	msgNew = 0
	msgGet = 1
	msgDel = 2

	attrName     = 1
	attrTuple    = 2
	attrQueueNum = 3
	attrPolicy   = 4
	attrPrivLen  = 5
	attrStatus   = 6

	tupleL3 = 1
	tupleL4 = 2

	policySetNum = 1
	policySet    = 2

	policyName    = 1
	policyMax     = 2
	policyTimeout = 3
)

// One data connection at a time is announced on a control connection; 300 s is what other helpers give it.
const (
	expectMax     = 1
	expectTimeout = 300
)

// Choose returns the name of the kernel helper that serves as carrier, and whether it has yet to be
// registered. It changes nothing.
func Choose(mode configs.Carrier) (name string, missing bool, err error) {
	if mode == configs.CarrierSane {
		return rules.SaneHelperName, false, nil
	}
	c, err := dial()
	if err != nil {
		return "", false, err
	}
	defer c.close()
	registered, err := c.registered()
	switch {
	case errors.Is(err, ErrUnavailable) && mode == configs.CarrierAuto:
		return rules.SaneHelperName, false, nil
	case errors.Is(err, unix.EPERM) && mode == configs.CarrierAuto && hasNetAdmin():
		return rules.SaneHelperName, false, nil // of a user namespace: nfnetlink_cthelper is for that of the host alone
	case err != nil:
		return "", false, err
	}
	return rules.CTHelperName, len(registered) < len(configs.Families), nil
}

// Register makes our helper known to the kernel for both families, disabled: the kernel queues nothing for it.
// The registration is global to the host and outlives the process. Registering twice changes nothing.
func Register() error {
	c, err := dial()
	if err != nil {
		return err
	}
	defer c.close()
	registered, err := c.registered()
	if err != nil {
		return err
	}
	for _, f := range configs.Families {
		if registered[f] {
			continue
		}
		if err := c.request(msgNew, netlink.Create, func(ae *netlink.AttributeEncoder) { encodeHelper(ae, f) }); err != nil {
			return fmt.Errorf("registering conntrack helper %q for IPv%d: %w", rules.CTHelperName, f, err)
		}
	}
	return nil
}

// Unregister removes our helper. It stays, without an error, while a table of any network namespace refers to it.
func Unregister() error {
	c, err := dial()
	if err != nil {
		return err
	}
	defer c.close()
	registered, err := c.registered()
	if errors.Is(err, ErrUnavailable) {
		return nil
	}
	if err != nil {
		return err
	}
	for f := range registered {
		err := c.request(msgDel, 0, func(ae *netlink.AttributeEncoder) { encodeName(ae, f) })
		if err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("removing conntrack helper %q for IPv%d: %w", rules.CTHelperName, f, err)
		}
	}
	return nil
}

// hasNetAdmin reports whether this process has CAP_NET_ADMIN, in whatever user namespace.
func hasNetAdmin() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_NET_ADMIN) != 0
}

type conn struct{ nl *netlink.Conn }

func dial() (conn, error) {
	nl, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return conn{}, fmt.Errorf("opening a netlink socket to nfnetlink_cthelper: %w", err)
	}
	return conn{nl}, nil
}

func (c conn) close() { _ = c.nl.Close() } // nothing can be done about a socket that does not close

// registered tells for which families our helper is known to the kernel.
func (c conn) registered() (map[configs.Family]bool, error) {
	replies, err := c.nl.Execute(message(msgGet, netlink.Dump, nil))
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, ErrUnavailable // what nfnetlink says of an unknown subsystem
	}
	if err != nil {
		return nil, fmt.Errorf("listing conntrack helpers: %w", err)
	}
	found := map[configs.Family]bool{}
	for _, r := range replies {
		if len(r.Data) < 4 {
			continue
		}
		name, l3, err := decodeHelper(r.Data[4:])
		if err != nil {
			return nil, fmt.Errorf("listing conntrack helpers: %w", err)
		}
		if name != rules.CTHelperName {
			continue
		}
		switch l3 {
		case unix.NFPROTO_IPV4:
			found[configs.IPv4] = true
		case unix.NFPROTO_IPV6:
			found[configs.IPv6] = true
		}
	}
	return found, nil
}

func (c conn) request(kind netlink.HeaderType, flags netlink.HeaderFlags, encode func(*netlink.AttributeEncoder)) error {
	ae := netlink.NewAttributeEncoder()
	encode(ae)
	data, err := ae.Encode()
	if err != nil {
		return err
	}
	_, err = c.nl.Execute(message(kind, flags|netlink.Acknowledge, data))
	return err
}

// message puts struct nfgenmsg before the attributes.
func message(kind netlink.HeaderType, flags netlink.HeaderFlags, attributes []byte) netlink.Message {
	return netlink.Message{
		Header: netlink.Header{Type: subsystem<<8 | kind, Flags: netlink.Request | flags},
		Data:   append([]byte{unix.AF_UNSPEC, 0, 0, 0}, attributes...),
	}
}

func l3proto(f configs.Family) uint16 {
	if f == configs.IPv4 {
		return unix.NFPROTO_IPV4
	}
	return unix.NFPROTO_IPV6
}
