package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"ftpvip/configs"
	"ftpvip/tests/lab/client"
	"ftpvip/tests/lab/server"
)

// size is a file's, in bytes.
const size = 1 << 20

// content makes a file that no other is like.
func content(seed byte) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// transfers moves a file up and down again in every mode, each from a client address of its own.
func (d *demo) transfers(ctx context.Context) error {
	d.story.heading("1 MiB up and down again in every mode; SHA-256 compared, and the addresses of the data connections")
	var rows [][]string
	n := 0
	for _, f := range configs.Families {
		for i, mode := range client.Modes(f) {
			n++
			rows = append(rows, d.pair(ctx, f, mode, d.lab.ClientAddrs[2*i%clients].Of(f), content(byte(n)))...)
		}
	}
	d.story.table([]string{
		"MODE", "FAMILY", "DIRECTION", "SERVER", "CLIENT SAW", "SERVER SAW", "BYTES", "TIME", "RESULT",
	}, rows)
	d.story.say(`
   CLIENT SAW and SERVER SAW are the other end of the data connection, as each of them saw it. In PASV and EPSV
   the client opened it, in PORT and EPRT the server did. The client must see nothing but the VIP, also in the
   server's 227 replies; the server must see the client itself.`)
	return nil
}

// pair is an upload and a download in one session: two rows.
func (d *demo) pair(ctx context.Context, f configs.Family, mode client.Mode, from netip.Addr, file []byte) [][]string {
	name := fmt.Sprintf("%s/%s-IPv%d", server.UploadDir, mode, f)
	s, err := client.Dial(ctx, d.lab.Client, from, d.vip(f))
	if err != nil {
		return [][]string{
			d.row(f, client.Transfer{Mode: mode, Operation: client.Upload}, "", server.Event{}, err),
			d.row(f, client.Transfer{Mode: mode, Operation: client.Download}, "", server.Event{}, err),
		}
	}
	defer s.Abandon()

	up, err := s.Upload(ctx, mode, name, bytes.NewReader(file))
	upSaw, upErr := d.check(ctx, s, up, err)

	sum := sha256.New()
	down, err := s.Download(ctx, mode, name, sum)
	if err == nil && [sha256.Size]byte(sum.Sum(nil)) != sha256.Sum256(file) {
		err = errors.New("SHA-256 differs")
	}
	downSaw, downErr := d.check(ctx, s, down, err)
	return [][]string{
		d.row(f, up, s.Banner, upSaw, upErr),
		d.row(f, down, s.Banner, downSaw, downErr),
	}
}

// check holds what the client saw against what the server saw.
func (d *demo) check(ctx context.Context, s *client.Session, t client.Transfer, err error) (server.Event, error) {
	if err != nil {
		return server.Event{}, err
	}
	backend := d.server(s.Banner)
	if backend == nil {
		return server.Event{}, fmt.Errorf("nobody of ours greets with %q", s.Banner)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	saw, err := backend.Saw(ctx, s.Name())
	if err != nil {
		return saw, err
	}
	vip, us := s.Server().Addr(), s.Local().Addr()
	switch {
	case !t.Mode.Active() && t.Announced.Addr() != vip:
		err = fmt.Errorf("the reply named %s, not the VIP", t.Announced)
	case t.Peer.Addr() != vip:
		err = errors.New("the client saw something else than the VIP")
	case saw.Peer.Addr() != us:
		err = errors.New("the server saw something else than the client")
	case t.Bytes != size:
		err = errors.New("the size is wrong")
	}
	return saw, err
}

func (d *demo) row(f configs.Family, t client.Transfer, banner string, saw server.Event, err error) []string {
	name := "-"
	if s := d.server(banner); s != nil {
		name = s.Name
	}
	return []string{
		string(t.Mode), fmt.Sprintf("IPv%d", f), string(t.Operation), name, shown(t.Peer), shown(saw.Peer),
		fmt.Sprint(t.Bytes), fmt.Sprintf("%.1f ms", float64(t.Elapsed.Microseconds())/1000), d.mark(err),
	}
}

// shown is an address for a table.
func shown(a netip.AddrPort) string {
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}

// server finds the one that greets so, or nil.
func (d *demo) server(banner string) *server.Server {
	for _, s := range d.servers {
		if s.Greets(banner) {
			return s
		}
	}
	return nil
}
