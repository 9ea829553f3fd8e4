package e2e

import (
	"fmt"
	"net/netip"
	"testing"

	"ftpvip/tests/lab"
)

// TestSourceGroup: what servers open besides data connections keeps their own address, unless source_group says all.
func TestSourceGroup(t *testing.T) {
	for _, tt := range []struct {
		group string
		port  int // that the server connects from; 0: any
		vip   bool
	}{
		{"auto", 0, false}, {"auto", 20, true}, {"auto", 989, true}, {"all", 0, true}, {"embedded", 0, true}, {"off", 20, false},
	} {
		t.Run(fmt.Sprintf("%s/%d", tt.group, tt.port), func(t *testing.T) {
			f := newFarm(t, arrangement{pool: []string{fmt.Sprintf("source_group: %q", tt.group)}})
			f.nft(t, "insert", "rule", "inet", "admin", "forward", "tcp dport 5432 accept")
			v := f.vips[0]
			client := f.ClientAddrs[0].V4
			shell(t, f.Client, "nft flush ruleset")
			l, err := f.Client.Listen(t.Context(), netip.AddrPortFrom(client, 5432))
			must(t, err)
			defer func() { _ = l.Close() }()
			from := make(chan netip.Addr, 1)
			go func() {
				c, err := l.Accept()
				if err != nil {
					close(from)
					return
				}
				from <- endpoint(c.RemoteAddr()).Addr()
				_ = c.Close()
			}()
			bind := ""
			if tt.port > 0 {
				bind = fmt.Sprintf("s.bind((\"\", %d)); ", tt.port)
			}
			r, err := v.Backends[0].Run(t.Context(), lab.Command{Args: []string{"python3", "-c", fmt.Sprintf(
				"import socket; s = socket.socket(); s.settimeout(10); %ss.connect((%q, 5432))", bind, client.String())}})
			must(t, err)
			if r.Code != 0 {
				t.Fatal(r)
			}
			want := v.Backends[0].Addrs.V4
			if tt.vip {
				want = v.VIP.V4
			}
			if got := <-from; got != want {
				t.Errorf("the connection comes from %s, want %s", got, want)
			}
		})
	}
}
