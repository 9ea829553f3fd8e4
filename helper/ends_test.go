package helper

import (
	"net/netip"

	"ftpvip/helper/ftp"
	"ftpvip/helper/track"
)

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

var (
	twoArm = track.Connection{
		ID: 1, Endpoints: ftp.Endpoints{
			Client: at("203.0.113.9:40000"), VIP: at("192.0.2.10:21"),
			Backend: at("10.2.0.11:21"), Seen: at("203.0.113.9:40000"),
		},
	}
	oneArm = track.Connection{
		ID: 2, Endpoints: ftp.Endpoints{
			Client: at("203.0.113.9:40000"), VIP: at("192.0.2.10:21"),
			Backend: at("10.2.0.11:21"), Seen: at("10.2.0.1:61000"),
		},
	}
	twoArm6 = track.Connection{
		ID: 3, Endpoints: ftp.Endpoints{
			Client: at("[2001:db8:1::9]:40000"), VIP: at("[2001:db8::10]:21"),
			Backend: at("[fd00::11]:21"), Seen: at("[2001:db8:1::9]:40000"),
		},
	}
)

// backwards is twoArm where conntrack saw a packet of the server's first.
var backwards = func() track.Connection {
	c := twoArm
	c.Reversed = true
	return c
}()

// entryOfBackwards is what conntrack has of the connection backwards: the backend is the original source.
var entryOfBackwards = track.Connection{ID: 1, Endpoints: ftp.Endpoints{
	Client: at("10.2.0.11:21"), VIP: at("203.0.113.9:40000"), Backend: at("203.0.113.9:40000"), Seen: at("192.0.2.10:21"),
}}
