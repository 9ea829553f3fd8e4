package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ftpvip/configs"
	"ftpvip/rules"
	"ftpvip/rules/walk"
)

// class is a kind of needs that one sort of rule meets.
type class struct {
	id       string
	severity Severity
	why      string
	needs    []need
}

var classes = []class{
	{"firewall-control", Error, "clients cannot log in: their connections are dropped before they get to a backend", []need{needControl, needSlice}},
	{
		"firewall-related", Error, "logins or transfers hang: ftpvip announces each data connection, so that it is `related`, but this chain takes no notice",
		[]need{needReplies, needPassive, needData, needActive},
	},
	{"firewall-health", Error, "every backend is judged down, and gets no new clients", []need{needCheck, needCheckAnswer}},
	{"firewall-neighbours", Error, "neither clients nor backends on a link find this host, nor it them", []need{needNeighbours}},
	{"firewall-icmp", Warning, "large transfers stall where a link on the way has a smaller MTU: nobody tells the sender", []need{needICMP}},
}

// hit is what one chain does to the packets of one class.
type hit struct {
	chain   *walk.Chain
	class   *class
	needs   []need
	at      walk.Place
	to      []netip.AddrPort // backends concerned
	dropped bool             // surely, wherever the clients come from
	passed  []string         // links whose clients pass, where others' do not
	blocked []string
	unsure  walk.Place
	why     string
}

// judgeFirewall sends the packets of each service through the other tables' chains.
func judgeFirewall(f *Facts) []Finding {
	if f.Foreign == nil {
		if f.NoAdmin || f.ForeignErr == "" {
			return nil
		}
		return []Finding{{
			ID: "firewall-unread", Severity: Warning, What: "the rules of other tables cannot be read: " + f.ForeignErr,
			Why: "doctor cannot tell whether a firewall lets FTP through", Remedy: []string{f.Command + " doctor   # again: somebody may have changed rules meanwhile"},
		}}
	}
	var hits []*hit
	for _, s := range f.services() {
		if s.route.Kind != Unicast && s.route.Kind != Local {
			continue
		}
		merge(&hits, s, f.sendAll(f.checks(s), ""))
		merge(&hits, s, f.sendAll(f.neighbours(s, s.route.Link), s.route.Link))
		var results []result
		for _, link := range f.clientLinks(s) {
			merge(&hits, s, f.sendAll(f.neighbours(s, link), link))
			results = append(results, f.sendAll(f.probes(s, link), link)...)
		}
		merge(&hits, s, results)
	}
	var list []Finding
	for _, h := range hits {
		if !h.covered(hits) {
			list = append(list, h.finding(f))
		}
	}
	return list
}

// covered reports whether the remedy for another hit lets ICMP errors through as well: they are related.
func (h *hit) covered(hits []*hit) bool {
	return h.class.id == "firewall-icmp" && slices.ContainsFunc(hits, func(o *hit) bool {
		return o.chain == h.chain && o.class.id == "firewall-related" && (o.dropped || !h.dropped)
	})
}

// result is what one chain does to one packet.
type result struct {
	need need
	link string
	walk.Outcome
}

// sendAll sends packets through all chains of their hooks. Each chain is judged by itself: what an earlier one drops,
// a later one may drop too.
func (f *Facts) sendAll(probes []probe, link string) []result {
	var list []result
	for i := range probes {
		p := &probes[i]
		chains := f.Foreign.Chains(rules.TypeFilter, p.hook, p.packet.Family)
		if p.hook == rules.HookOutput {
			chains = append(chains, f.Foreign.Chains("route", p.hook, p.packet.Family)...)
		}
		for _, c := range chains {
			list = append(list, result{p.need, link, walk.Through(c, p.at(c))})
		}
	}
	return list
}

// merge joins the results of one service into hits. A need counts as not met where all of its packets are dropped,
// whatever link the clients come by and whatever ports are chosen.
func merge(hits *[]*hit, s service, results []result) {
	type key struct {
		chain *walk.Chain
		need  need
	}
	groups := map[key][]result{}
	var order []key
	for _, r := range results {
		k := key{r.Chain, r.need}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], r)
	}
	for _, k := range order {
		var dropped, unsure, passed []result
		for _, r := range groups[k] {
			switch r.Answer {
			case walk.Dropped:
				dropped = append(dropped, r)
			case walk.CannotTell:
				unsure = append(unsure, r)
			case walk.Passed:
				passed = append(passed, r)
			}
		}
		if len(dropped)+len(unsure) == 0 {
			continue
		}
		h := find(hits, k.chain, classOf(k.need), len(dropped) == len(groups[k]))
		if !slices.Contains(h.needs, k.need) {
			h.needs = append(h.needs, k.need)
		}
		if !slices.Contains(h.to, s.to) {
			h.to = append(h.to, s.to)
		}
		for _, r := range dropped {
			h.at = r.At
			h.blocked = appendNew(h.blocked, r.link)
		}
		for _, r := range unsure {
			h.unsure, h.why = r.Unsure, r.Why
			if h.at.Base == nil {
				h.at = r.At
			}
		}
		for _, r := range passed {
			h.passed = appendNew(h.passed, r.link)
		}
	}
}

func find(hits *[]*hit, c *walk.Chain, cl *class, dropped bool) *hit {
	for _, h := range *hits {
		if h.chain == c && h.class == cl && h.dropped == dropped {
			return h
		}
	}
	h := &hit{chain: c, class: cl, dropped: dropped}
	*hits = append(*hits, h)
	return h
}

func appendNew(list []string, s string) []string {
	if s == "" || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func classOf(n need) *class {
	for i := range classes {
		if slices.Contains(classes[i].needs, n) {
			return &classes[i]
		}
	}
	return nil
}

// finding puts a hit into words.
func (h *hit) finding(f *Facts) Finding {
	words := make([]string, len(h.needs))
	for i, n := range h.needs {
		words[i] = string(n)
	}
	what := strings.Join(words, "; ")
	if h.dropped {
		return Finding{
			ID: h.class.id, Severity: h.class.severity, Why: h.class.why,
			What:   fmt.Sprintf("%s: dropped by %s", what, h.at),
			Remedy: remedy(f, h), Keep: keepRule(h.chain),
		}
	}
	fi := Finding{ID: h.class.id + "-unsure", Severity: Note, Why: "if it is dropped: " + h.class.why}
	switch {
	case h.why == "" && slices.Equal(h.blocked, h.passed):
		fi.What = fmt.Sprintf("%s: chain %s passes them for some ports only (one that it drops at: %s)", what, h.chain, h.at)
	case len(h.blocked) > 0 && len(h.passed) > 0:
		fi.What = fmt.Sprintf("%s: dropped by %s for clients that come by %s, passed for those that come by %s", what, h.at,
			strings.Join(h.blocked, ", "), strings.Join(h.passed, ", "))
		fi.Remedy = []string{f.Command + " doctor --client ADDRESS   # of a client that has to get through"}
	case h.why != "":
		fi.What = fmt.Sprintf("%s: cannot tell what %s does: %s", what, h.unsure, h.why)
	default:
		fi.What = fmt.Sprintf("%s: cannot tell what chain %s does", what, h.chain)
	}
	return fi
}

// families lists the families of a hit's backends.
func (h *hit) families() []configs.Family {
	var list []configs.Family
	for _, to := range h.to {
		if family := configs.FamilyOf(to.Addr()); !slices.Contains(list, family) {
			list = append(list, family)
		}
	}
	slices.Sort(list)
	return list
}

// ports lists a hit's backends of one family by the port that they listen on. It is empty where the hit is about passive
// ports alone.
func (h *hit) ports(family configs.Family) map[uint16][]netip.Addr {
	ports := map[uint16][]netip.Addr{}
	if len(h.needs) == 1 && h.needs[0] == needSlice {
		return ports
	}
	for _, to := range h.to {
		if configs.FamilyOf(to.Addr()) == family && !slices.Contains(ports[to.Port()], to.Addr()) {
			ports[to.Port()] = append(ports[to.Port()], to.Addr())
		}
	}
	return ports
}
