package main

import (
	"fmt"
	"io"
	"time"

	"github.com/google/nftables"

	"ftpvip/configs"
	"ftpvip/rules"
	"ftpvip/rules/kernel"
)

// What this program is when it measures the kernel's share; the argument is the path of a configuration.
const (
	childRaw  = "raw"  // writes the slot tables with google/nftables and nothing else: prints seconds
	childMove = "move" // takes one backend out of the first pool and puts it back: prints seconds for one change
)

// raw is the yardstick of an apply from nothing: the elements of all slot tables in one transaction of the library,
// without the sets, chains and rules that a working table needs besides.
func raw(path string, stdout io.Writer) error {
	cfg, err := configs.Load(path, nil)
	if err != nil {
		return err
	}
	want := rules.Build(cfg, rules.State{}, rules.SaneHelperName)
	start := time.Now()
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Name: "raw", Family: nftables.TableFamilyINet})
	for i, s := range want.Sets {
		if s.Slots == 0 {
			continue
		}
		data := nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService)
		if s.Data[0] == rules.Addr6 {
			data = nftables.MustConcatSetType(nftables.TypeIP6Addr, nftables.TypeInetService)
		}
		set := &nftables.Set{
			Table: table, ID: uint32(i + 1), Name: s.Name, IsMap: true, KeyType: nftables.TypeInteger, DataType: data,
			Size: uint32(s.Slots),
		}
		elements := make([]nftables.SetElement, len(s.Elements))
		for j, e := range s.Elements {
			elements[j] = nftables.SetElement{Key: []byte(e.Key), Val: []byte(e.Data)}
		}
		if err := conn.AddSet(set, elements); err != nil {
			return err
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("writing the slot tables: %w", err)
	}
	_, err = fmt.Fprintln(stdout, time.Since(start).Seconds())
	return err
}

// moves is how often childMove changes the table.
const moves = 10

// move measures what a health check or a drain does to the kernel.
func move(path string, stdout io.Writer) error {
	cfg, err := configs.Load(path, nil)
	if err != nil {
		return err
	}
	one := *cfg
	one.VIPs, one.Pools = cfg.VIPs[:1], cfg.Pools[:1]
	ref := configs.Ref{Pool: one.Pools[0].Name, Backend: one.Pools[0].Backends[0].Name}
	k, err := kernel.Open()
	if err != nil {
		return err
	}
	start := time.Now()
	for i := range moves {
		state := rules.State{Down: map[configs.Ref]bool{ref: i%2 == 0}}
		want := rules.Build(&one, state, rules.SaneHelperName)
		have, err := k.ReadSlots(want)
		if err != nil {
			return err
		}
		p := rules.SlotDiff(have, want)
		if p.Empty() {
			return fmt.Errorf("change %d of %s changes nothing", i, ref)
		}
		if err := k.Commit(p); err != nil {
			return err
		}
	}
	took := time.Since(start).Seconds() / moves
	if err := k.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, took)
	return err
}
