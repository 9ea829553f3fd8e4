package configs

import (
	"fmt"
	"net/netip"
	"regexp"
)

const wantInterface = "the name of an interface, such as eth0"

// interfaceForm is what the kernel takes for a name (net/core/dev.c, dev_valid_name), without what nobody uses.
var interfaceForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,14}$`)

func (c *checker) bind(f field[string]) string {
	if f.state != given || f.val == "" {
		return ""
	}
	if !interfaceForm.MatchString(f.val) {
		c.at(f.pos, "is no name of an interface", wantInterface, "use a name that `ip link` shows")
		return ""
	}
	return f.val
}

// boundOnce reports an address that two VIPs want on different interfaces.
func (c *checker) boundOnce() {
	first := make(map[netip.Addr]int)
	for i, v := range c.cfg.VIPs {
		if v.Bind == "" {
			continue
		}
		for _, a := range v.Addrs.All() {
			j, ok := first[a]
			if !ok {
				first[a] = i
				continue
			}
			if other := c.cfg.VIPs[j]; other.Bind != v.Bind {
				c.at(c.raw.vips.all[i].bind.pos, fmt.Sprintf("%s binds %s to %s (line %d)", title(other.Name), a, other.Bind,
					c.raw.vips.all[j].bind.line), wantInterface, "use the same interface for both")
			}
		}
	}
}
