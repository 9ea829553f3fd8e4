package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"ftpvip/configs"
	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// offloading gives a farm's VIP a flowtable of the balancer's interfaces.
func (f *farm) offloading(t *testing.T, devices string) {
	t.Helper()
	f.vips[0].Keys = []string{"offload: flowtable"}
	must(t, f.ftpvip.Configure(f.config()+fmt.Sprintf("\noffload_devices: [%s]\n", devices)))
}

// TestOffload looks at connection tracking in the middle of transfers: data connections go by the flowtable, control
// connections never, and no byte is missing in the account.
func TestOffload(t *testing.T) {
	lab.Require(t, lab.Flowtable)
	for _, arm := range arms[:2] {
		t.Run(arm.name, func(t *testing.T) {
			f := newFarm(t, arrangement{kinds: []server.Kind{server.VSFTPD}, arm: arm.arm, snat: arm.snat})
			must(t, f.Balancer.Sysctl("net/netfilter/nf_conntrack_acct", "1"))
			v := f.vips[0]
			const size = 40_000_000 // more than all buffers hold: after the server's FIN there is no flow any more
			want := content("big", size)
			v.put(t, "big", want)
			devices := "lan0, wan0"
			if arm.arm == lab.OneArm {
				devices = "lan0"
			}
			f.offloading(t, devices)
			f.do(t, "apply")
			f.exits(t, 0, "diff")
			for _, family := range configs.Families {
				for _, mode := range client.Modes(family) {
					t.Run(fmt.Sprintf("IPv%d/%s", family, mode), func(t *testing.T) {
						s := f.dial(t, v, f.ClientAddrs[0].Of(family), family)
						look := &halfway{at: 1_000_000, look: func() {
							table := f.conntrack(t, family)
							if !strings.Contains(table, "[OFFLOAD]") {
								t.Errorf("no connection goes by the flowtable:\n%s", table)
							}
							for line := range strings.Lines(table) {
								if strings.Contains(line, "dport=21 ") && strings.Contains(line, "OFFLOAD") {
									t.Errorf("a control connection goes by the flowtable: %s", line)
								}
							}
						}}
						transfer, err := s.Download(t.Context(), mode, "big", look)
						must(t, err)
						if transfer.Bytes != size || !look.looked {
							t.Errorf("%d bytes came, looked %t", transfer.Bytes, look.looked)
						}
						must(t, s.Close())
						line := f.ending(t, s)
						t.Log(strings.TrimSpace(line))
						if counted := bytesTold(line); counted < size || counted > size*11/10 {
							t.Errorf("the account has %d bytes, want %d and what the headers take: %s", counted, size, line)
						}
					})
				}
			}
			// Other devices, then none: connections go on.
			if arm.arm == lab.TwoArm {
				f.offloading(t, "lan0")
				f.do(t, "apply")
				f.exits(t, 0, "diff")
				f.offloading(t, "lan0, nosuch0")
				if r := f.exits(t, 1, "apply"); !strings.Contains(r.Stderr, "an interface of offload_devices is not there") {
					t.Errorf("apply says %s", r.Stderr)
				}
			}
			v.Keys = nil
			must(t, f.ftpvip.Configure(f.config()))
			f.do(t, "apply")
			f.exits(t, 0, "diff")
			if text := f.nft(t, "list", "flowtables"); strings.Contains(text, "flowtable data") {
				t.Errorf("the flowtable is still there: %s", text)
			}
		})
	}
}

// halfway takes what is written, and looks once on the way.
type halfway struct {
	got, at int
	looked  bool
	look    func()
}

func (h *halfway) Write(b []byte) (int, error) {
	if h.got += len(b); h.got >= h.at && !h.looked {
		h.looked = true
		h.look()
	}
	return len(b), nil
}

// ending is what the helper logged at the end of a session.
func (f *farm) ending(t *testing.T, s *client.Session) (line string) {
	t.Helper()
	eventually(t, "the session's end is logged", func() bool {
		for line = range strings.Lines(f.helper.Stderr()) {
			if strings.Contains(line, "session ended") && strings.Contains(line, "client="+s.Local().String()) {
				return true
			}
		}
		return false
	})
	return line
}

var toldBytes = regexp.MustCompile(`\.bytes=(\d+)`)

// bytesTold adds up the bytes of a session's line.
func bytesTold(line string) (sum int) {
	for _, m := range toldBytes.FindAllStringSubmatch(line, -1) {
		n, _ := strconv.Atoi(m[1]) // digits
		sum += n
	}
	return sum
}

func (f *farm) conntrack(t *testing.T, family configs.Family) string {
	t.Helper()
	r, err := f.Balancer.Run(t.Context(), lab.Command{Args: []string{"conntrack", "-L", "-f", fmt.Sprintf("ipv%d", family)}})
	must(t, err)
	return r.Stdout
}

// TestOffloadLacking checks that everything works, and is told, where the kernel has no flowtables.
func TestOffloadLacking(t *testing.T) {
	if lab.Flowtable.Check() == nil {
		t.Skip("this kernel has flowtables")
	}
	f := newFarm(t, arrangement{kinds: []server.Kind{server.VSFTPD}, scheduler: "round-robin"})
	f.vips[0].put(t, "file", content("file", smallSize))
	f.offloading(t, "lan0, wan0")
	const told = "this kernel has no flowtables"
	for _, verb := range []string{"check", "apply", "diff"} {
		if r := f.exits(t, 0, verb); !strings.Contains(r.Stderr, told) {
			t.Errorf("%s does not say what is missing: %s", verb, r)
		}
	}
	if r := f.do(t, "doctor"); !strings.Contains(r.Stdout, told) {
		t.Errorf("doctor does not say what is missing: %s", r)
	}
	if r := f.do(t, "status"); !strings.Contains(r.Stdout, told) {
		t.Errorf("status does not say what is missing: %s", r)
	}
	f.transfers(t, f.vips[0], f.Client, configs.IPv4, client.PASV)
}
