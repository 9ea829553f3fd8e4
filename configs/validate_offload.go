package configs

import "slices"

// The words of the key offload.
const (
	offloadOff       = "off"
	offloadFlowtable = "flowtable"
)

var offloads = []string{offloadOff, offloadFlowtable}

const wantDevices = "a list of interfaces such as [eth0, eth1]"

// Offloads reports whether a VIP's data connections go by the flowtable.
func (c *Config) Offloads() bool {
	return slices.ContainsFunc(c.VIPs, func(v VIP) bool { return v.Offload })
}

// WithoutOffload is the configuration for a kernel that has no flowtables.
func (c *Config) WithoutOffload() *Config {
	plain := c.clone()
	for i := range plain.VIPs {
		plain.VIPs[i].Offload = false
	}
	return plain
}

// offloadDevices checks the interfaces of the flowtable.
func (c *checker) offloadDevices(l items[field[string]]) []string {
	var devices []string
	for _, f := range l.all {
		if name := c.bind(f); name != "" {
			devices = append(devices, name)
		}
	}
	for i, v := range c.cfg.VIPs {
		if !v.Offload {
			continue
		}
		at := c.raw.vips.all[i].offload.pos
		switch {
		case v.Application != FTPControl:
			c.at(at, "has no effect on a VIP with application tcp: it has no data connections", list(offloads), "delete it")
		case l.state == absent || l.state == given && len(l.all) == 0:
			c.at(at, "needs the interfaces that packets of data connections come by", list(offloads),
				"add their names at the top level, such as: offload_devices: [eth0, eth1]")
		}
	}
	return devices
}
