package main

import (
	"context"
	"fmt"

	"ftpvip/tests/lab"
)

// plainDNAT forwards the control connection; nothing reads it. Its 227 replies name the backend, and data connections
// are routed straight there: it is what remains when the helper costs nothing.
func plainDNAT() kind {
	return kind{
		key: "dnat", title: "plain DNAT", optional: true, check: lab.NFT.Check,
		on: func(_ context.Context, p *peer) error { return p.lab.Firewall(p.natTable("")) },
	}
}

// natTable is nft text that sends the VIP to the backend.
func (p *peer) natTable(more string) string {
	return fmt.Sprintf(`table ip bench {
	chain prerouting {
		type nat hook prerouting priority dstnat;
		ip daddr %s tcp dport %d dnat to %s:%d
	}
%s}
`, p.vip().Addr(), ftpPort, p.backend(), ftpPort, more)
}

// helperTable is natTable with the conntrack helper that is named ftp.
func (p *peer) helperTable(more string) string {
	return p.natTable(fmt.Sprintf(`	ct helper ftp {
		type "ftp" protocol tcp
		l3proto ip
	}
	chain assign {
		type filter hook prerouting priority -150;
		ip daddr %s tcp dport %d ct state new ct helper set "ftp"
	}
%s`, p.vip().Addr(), ftpPort, more))
}

const deleteTable = "delete table ip bench\n"
