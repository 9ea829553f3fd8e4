package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"ftpvip/tests/lab"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// way is how the client's traffic reaches the backend.
type way struct {
	title  string
	direct bool                                                     // no VIP: the client speaks to the backend
	setUp  func(ctx context.Context, l *lab.Lab, path string) error // on the balancer
	bulk   bool                                                     // transfers are measured as well
	check  func() error
}

// pair is the lab's one VIP and its one backend.
func pair(l *lab.Lab) endpoint { return endpoint{l.VIPs[0].V4, l.Backends[0].Addrs.V4} }

// dnat is a table with one rule for the VIP after so many others, as an admin without sets has it.
func dnat(others int) func(context.Context, *lab.Lab, string) error {
	return func(_ context.Context, l *lab.Lab, _ string) error {
		var b strings.Builder
		b.WriteString("table ip byhand {\n\tchain prerouting {\n\t\ttype nat hook prerouting priority dstnat;\n")
		for i := range others {
			fmt.Fprintf(&b, "\t\tip daddr %s tcp dport 21 dnat to %s\n", vipAt(i), backendAt(i, 0))
		}
		p := pair(l)
		fmt.Fprintf(&b, "\t\tip daddr %s tcp dport { 21, 1024-65535 } dnat to %s\n\t}\n}\n", p.vip, p.backend)
		return l.Firewall(b.String())
	}
}

// balanced is ftpvip with so many VIPs, the real one last.
func balanced(vips int, more string) func(context.Context, *lab.Lab, string) error {
	return func(ctx context.Context, l *lab.Lab, path string) error {
		p := pair(l)
		program, err := l.Program(path, config(vips, &p, more))
		if err != nil {
			return err
		}
		if _, err := program.Do(ctx, "apply"); err != nil {
			return err
		}
		_, err = program.StartHelper(ctx, nil)
		return err
	}
}

func ways() []way {
	return []way{
		{title: "plain routing", direct: true, bulk: true, setUp: func(context.Context, *lab.Lab, string) error { return nil }},
		{title: "plain DNAT, 1 rule", bulk: true, setUp: dnat(0)},
		{title: "plain DNAT, 1000 rules", setUp: dnat(999)},
		{title: "ftpvip, 1 VIP", bulk: true, setUp: balanced(1, "")},
		{title: "ftpvip, 1000 VIPs", bulk: true, setUp: balanced(1000, "")},
		{title: "ftpvip, flowtable", bulk: true, setUp: balanced(1, ", offload: flowtable"), check: lab.Flowtable.Check},
	}
}

// traffic holds what was measured for each way.
type traffic struct {
	ways []way
	rate [][]float64 // new connections a second
	bulk [][]float64 // bytes a second
	skip []string    // why a way was not measured
}

func measureTraffic(ctx context.Context, o options, path string) (*traffic, error) {
	t := &traffic{ways: ways()}
	t.rate, t.bulk = make([][]float64, len(t.ways)), make([][]float64, len(t.ways))
	t.skip = make([]string, len(t.ways))
	for i, w := range t.ways {
		if w.check != nil {
			if err := w.check(); err != nil {
				t.skip[i], _, _ = strings.Cut(err.Error(), "\n")
				continue
			}
		}
		if err := t.measure(ctx, o, path, i); err != nil {
			return nil, fmt.Errorf("%s: %w", w.title, err)
		}
	}
	return t, nil
}

// measure builds a lab for a way and measures it.
func (t *traffic) measure(ctx context.Context, o options, path string, i int) (err error) {
	l, err := lab.New(ctx, lab.Options{Backends: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := l.Client.Sysctl("net/ipv4/ip_local_port_range", "1024 65535"); err != nil {
		return err
	}
	w := t.ways[i]
	if err := w.setUp(ctx, l, path); err != nil {
		return err
	}
	to := pair(l).vip
	if w.direct {
		to = pair(l).backend
	}
	for range o.rounds {
		rate, err := churned(ctx, l, netip.AddrPortFrom(to, server.Port), o.span)
		if err != nil {
			return err
		}
		t.rate[i] = append(t.rate[i], rate)
	}
	if !w.bulk || o.bulk == 0 {
		return nil
	}
	return t.transfers(ctx, o, l, i, to)
}

// churned counts new connections a second.
func churned(ctx context.Context, l *lab.Lab, to netip.AddrPort, span time.Duration) (float64, error) {
	at := netip.AddrPortFrom(pair(l).backend, server.Port).String()
	up := make(chan struct{})
	var once sync.Once
	s, err := l.Backends[0].Start(ctx, lab.Command{
		Args: []string{"/proc/self/exe", childSink, at}, Stdout: writerFunc(func() { once.Do(func() { close(up) }) }),
	})
	if err != nil {
		return 0, err
	}
	defer s.Kill()
	select {
	case <-up:
	case <-s.Done():
		return 0, errors.New("the sink ended")
	case <-time.After(30 * time.Second):
		return 0, errors.New("the sink does not start")
	}
	r, err := l.Client.Run(ctx, lab.Command{Args: []string{"/proc/self/exe", childChurn, to.String(), span.String()}})
	if err != nil {
		return 0, err
	}
	if r.Code != 0 {
		return 0, errors.New(r.String())
	}
	return strconv.ParseFloat(strings.TrimSpace(r.Stdout), 64)
}

// writerFunc is called whenever something is written.
type writerFunc func()

// Write implements io.Writer.
func (f writerFunc) Write(b []byte) (int, error) {
	f()
	return len(b), nil
}

// transfers measures the download of a large file by EPSV, which plain DNAT passes without a helper.
func (t *traffic) transfers(ctx context.Context, o options, l *lab.Lab, i int, to netip.Addr) error {
	s, err := server.Start(ctx, l, l.Backends[0], server.Embedded, "bulk")
	if err != nil {
		return err
	}
	defer s.Kill()
	file, err := os.Create(filepath.Join(s.Root, "bulk"))
	if err != nil {
		return err
	}
	if err := errors.Join(file.Truncate(o.bulk), file.Chmod(0o644), file.Close()); err != nil { // a hole: no disk is read
		return err
	}
	for range o.rounds {
		c, err := client.Dial(ctx, l.Client, netip.Addr{}, netip.AddrPortFrom(to, server.Port))
		if err != nil {
			return err
		}
		done, err := c.Download(ctx, client.EPSV, "bulk", discard{})
		if err := errors.Join(err, c.Close()); err != nil {
			return err
		}
		if done.Bytes != o.bulk {
			return fmt.Errorf("%d of %d bytes came", done.Bytes, o.bulk)
		}
		t.bulk[i] = append(t.bulk[i], float64(done.Bytes)/done.Elapsed.Seconds())
	}
	return nil
}

// discard is io.Discard without its small buffer.
type discard struct{}

// Write implements io.Writer.
func (discard) Write(b []byte) (int, error) { return len(b), nil }

// ReadFrom implements io.ReaderFrom.
func (discard) ReadFrom(r io.Reader) (n int64, err error) {
	b := make([]byte, 1<<20)
	for {
		m, err := r.Read(b)
		n += int64(m)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

func (t *traffic) write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "\tnew connections/s\tratio\tbulk MB/s\tratio\t")
	base := 0 // plain routing
	for i, x := range t.ways {
		if t.skip[i] != "" {
			fmt.Fprintf(tw, "%s\t-\t-\t-\t-\t\n", x.title)
			continue
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t\n", x.title, cells(t.rate[i], t.rate[base], 1, "%.0f"), cells(t.bulk[i], t.bulk[base], 1e6, "%.0f"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for i, x := range t.ways {
		if t.skip[i] != "" {
			fmt.Fprintf(w, "%s was not measured: %s\n", x.title, t.skip[i])
		}
	}
	_, err := fmt.Fprintf(w, "\nA connection is opened, closed by the server, and its ratio is that to plain routing. Bulk is one file by EPSV.\n")
	return err
}

// cells are a median and its ratio to that of plain routing.
func cells(values, base []float64, unit float64, format string) string {
	if len(values) == 0 {
		return "-\t-"
	}
	ratio := "-"
	if b := middle(base); b > 0 {
		ratio = fmt.Sprintf("%.2f", middle(values)/b)
	}
	return fmt.Sprintf(format, middle(values)/unit) + "\t" + ratio
}
