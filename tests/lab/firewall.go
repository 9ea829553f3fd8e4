package lab

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ftpvip/configs"
)

// AdminFirewall is what a careful admin has on the balancer: nothing gets in or through but new FTP control
// connections and what belongs to a connection that is known. It says nothing about FTP data connections.
const AdminFirewall = `table inet admin {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		iif lo accept
		meta l4proto { icmp, ipv6-icmp } accept
		tcp dport 21 ct state new accept
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		meta l4proto { icmp, ipv6-icmp } accept
		tcp dport 21 ct state new accept
	}
}
`

// Firewall loads nft text on the balancer.
func (l *Lab) Firewall(text string) error { return l.nft(l.Balancer, text) }

// guardClient lets in, of new connections, only those whose source is a VIP: an active-mode data connection that
// shows a backend's own address does not arrive.
func (l *Lab) guardClient() error {
	var set4, set6 []string
	for _, vip := range l.VIPs {
		set4 = append(set4, vip.Of(configs.IPv4).String())
		set6 = append(set6, vip.Of(configs.IPv6).String())
	}
	return l.nft(l.Client, fmt.Sprintf(`table inet client {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		iif lo accept
		meta l4proto { icmp, ipv6-icmp } accept
		ip saddr { %s } accept
		ip6 saddr { %s } accept
	}
}
`, strings.Join(set4, ", "), strings.Join(set6, ", ")))
}

func (l *Lab) nft(n *Namespace, text string) error {
	ctx, cancel := context.WithTimeout(l.ctx, 20*time.Second)
	defer cancel()
	r, err := n.Run(ctx, Command{Args: []string{"nft", "-f", "-"}, Stdin: strings.NewReader(text)})
	if err != nil {
		return err
	}
	if r.Code != 0 {
		return fmt.Errorf("loading nft rules in %s: %s", n.Name, r)
	}
	return nil
}
