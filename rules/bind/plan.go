// Package bind makes VIPs addresses of an interface where the configuration says so (`bind: eth0`), and takes them
// away again. Addresses that somebody else added are never touched: ours carry a mark in the kernel, IFA_PROTO.
package bind

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ftpvip/configs"
)

// Address is an address on an interface. Its prefix is the address alone: /32 or /128.
type Address struct {
	Interface string
	Addr      netip.Addr
}

// String is the address as `ip addr` takes it.
func (a Address) String() string {
	return fmt.Sprintf("%s dev %s", netip.PrefixFrom(a.Addr, a.Addr.BitLen()), a.Interface)
}

// Held is an address that the host has.
type Held struct {
	Address
	Ours bool
}

// Plan is what has to be done. Its zero value is nothing.
type Plan struct {
	Add, Delete []Address
}

// Empty reports whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.Add) == 0 && len(p.Delete) == 0 }

// Text says what the plan does, a line for each thing, as `ftpvip diff` prints it.
func (p Plan) Text() string {
	var b strings.Builder
	for _, a := range p.Delete {
		fmt.Fprintf(&b, "- address %s\n", a)
	}
	for _, a := range p.Add {
		fmt.Fprintf(&b, "+ address %s\n", a)
	}
	return b.String()
}

// Wanted lists the addresses that the configuration binds, each once. A nil configuration binds nothing.
func Wanted(cfg *configs.Config) []Address {
	if cfg == nil {
		return nil
	}
	var want []Address
	for i := range cfg.VIPs {
		v := &cfg.VIPs[i]
		if v.Bind == "" {
			continue
		}
		for _, addr := range v.Addrs.All() {
			if a := (Address{v.Bind, addr}); !slices.Contains(want, a) {
				want = append(want, a)
			}
		}
	}
	return want
}

// ErrTaken says that somebody else has put a wanted address on another interface.
var ErrTaken = errors.New("it is on another interface already, and not by ftpvip")

// Diff says what turns the addresses that the host has into those that are wanted. One that is wanted and there is
// left as it is, whoever added it. The error is ErrTaken.
func Diff(have []Held, want []Address) (Plan, error) {
	var p Plan
	for _, w := range want {
		there := false
		for _, h := range have {
			switch {
			case h.Address == w:
				there = true
			case h.Addr == w.Addr && !h.Ours:
				return Plan{}, fmt.Errorf("binding %s to %s: %w: bind its VIP to %s, delete the key bind, or run "+
					"`ip addr del %s`", w.Addr, w.Interface, ErrTaken, h.Interface, h.Address)
			}
		}
		if !there {
			p.Add = append(p.Add, w)
		}
	}
	for _, h := range have {
		if h.Ours && !slices.Contains(want, h.Address) {
			p.Delete = append(p.Delete, h.Address)
		}
	}
	return p, nil
}
