package rules

import (
	"fmt"
	"slices"
	"strings"

	"ftpvip/configs"
)

// priorityOffload is after the host's own filter chains, so that a dropped connection is never offloaded.
const priorityOffload = priorityControl

// Flowtable takes packets of known connections from one device to the other past all chains
// (Documentation/networking/nf_flowtable.rst). It counts bytes where connection tracking does.
type Flowtable struct {
	Name    string
	Devices string // where packets come from, with commas between, in alphabetical order
}

func (f Flowtable) lines() []string {
	return []string{
		"hook ingress priority 0",
		"devices = { " + strings.ReplaceAll(f.Devices, ",", ", ") + " }",
		"counter",
	}
}

// NewFlowtable is the flowtable of that name and devices.
func NewFlowtable(name string, devices []string) Flowtable {
	sorted := slices.Clone(devices)
	slices.Sort(sorted)
	return Flowtable{Name: name, Devices: strings.Join(slices.Compact(sorted), ",")}
}

type (
	// MatchExpected matches connections that an expectation announced: data connections, and never control ones.
	MatchExpected struct{}
	// FlowAdd moves the connection to the flowtable.
	FlowAdd struct{ Flowtable string }
)

// Text implements Statement.
func (MatchExpected) Text() string { return "ct status expected" }

// Needs implements Statement.
func (MatchExpected) Needs() Needs { return Needs{} }

// Text implements Statement.
func (s FlowAdd) Text() string { return "flow add @" + s.Flowtable }

// Needs implements Statement.
func (s FlowAdd) Needs() Needs { return uses(KindFlowtable, s.Flowtable) }

// addOffload adds what VIPs with `offload: flowtable` need, if any.
func (r *Ruleset) addOffload(cfg *configs.Config) {
	if !cfg.Offloads() {
		return
	}
	r.Flowtables = append(r.Flowtables, NewFlowtable(flowtableData, cfg.OffloadDevices))
	chain := &Chain{Name: chainOffload, Base: &Base{Type: TypeFilter, Hook: HookForward, Priority: priorityOffload}}
	for _, f := range configs.Families {
		addresses, ports := offloadSets(cfg, f, r.Set(setName(stemPassive, f)).Elements)
		r.Sets = append(r.Sets, addresses, ports)
		for _, match := range [][]Statement{
			{MatchExpected{}, MatchInSet{Key{f, OriginalAddress}, addresses.Name}}, // passive: the client opened it
			{MatchExpected{}, MatchInSet{Key{f, ReplyAddress}, addresses.Name}},    // active: its answer goes to the VIP
			{MatchInSet{Key{f, OriginalDestination}, ports.Name}},                  // FTPS, which nobody can announce
		} {
			statements := append([]Statement{MatchFamily{f}, MatchTCP{}}, match...)
			chain.Rules = append(chain.Rules, rule(append(statements, FlowAdd{flowtableData})...))
		}
	}
	r.Chains = append(r.Chains, chain)
}

// offloadSets lists the addresses of such VIPs, and the passive slices of these.
func offloadSets(cfg *configs.Config, f configs.Family, passive []Element) (addresses, ports *Set) {
	addresses = &Set{Name: setName(stemOffload, f), Key: []Type{addrType(f)}}
	ports = &Set{Name: setName(stemOffloadPorts, f), Key: []Type{addrType(f), Service}, Interval: true}
	for i := range cfg.VIPs {
		v := &cfg.VIPs[i]
		addr := v.Addrs.Of(f)
		if !v.Offload || !addr.IsValid() {
			continue
		}
		addresses.add(Element{Key: addrBytes(addr)})
		for _, e := range passive {
			if strings.HasPrefix(e.Key, addrBytes(addr)) {
				ports.add(Element{Key: e.Key, End: e.End})
			}
		}
	}
	for _, s := range []*Set{addresses, ports} {
		sortElements(s.Elements)
		s.Elements = slices.Compact(s.Elements)
	}
	return addresses, ports
}

func (f Flowtable) text() string {
	return fmt.Sprintf("flowtable %s { %s }", f.Name, f.Devices)
}
