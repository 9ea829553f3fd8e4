package walk

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// xtMatch judges a match of iptables that nft_compat carries. The layouts are those of linux/netfilter/xt_*.h.
func xtMatch(x XTMatch, p *Packet) (truth, string) {
	why := "it depends on iptables' match " + x.Name
	var m truth
	switch x.Name {
	case "comment":
		return yes, ""
	case "conntrack":
		m = xtConntrack(x, p)
	case "state":
		m = xtState(x.Info, p)
	case "tcp":
		m = xtTCP(x.Info, p)
	case "multiport":
		m = xtMultiport(x, p)
	case "addrtype":
		m = xtAddrType(x, p)
	case "rpfilter": // the way back is taken to exist; flag 8 inverts
		if len(x.Info) < 1 {
			return maybe, why
		}
		m = truthOf(x.Info[0]&8 == 0)
	case "udp", "udplite", "sctp", "dccp", "esp", "ah": // of other protocols
		m = no
	case "icmp", "icmp6":
		m = xtICMP(x.Info, p)
	case "hl":
		m = xtHopLimit(x.Info, p)
	default:
		m = maybe
	}
	return m, why
}

// xt_conntrack's bits for NAT in its state mask, beyond those that it shares with nft.
const (
	xtStateSNAT = 1 << 6
	xtStateDNAT = 1 << 7
	xtUntracked = 1 << 8
)

func xtConntrack(x XTMatch, p *Packet) truth {
	const (
		flagsAt     = 146
		invertAt    = 148
		stateAt     = 150
		statusAt    = 152
		end         = 154
		matchState  = 1
		matchStatus = 1 << 6
		alias       = 1 << 13 // it was written as -m state
	)
	if x.Rev < 2 || len(x.Info) < end {
		return maybe
	}
	word := func(at int) uint32 { return uint32(binary.NativeEndian.Uint16(x.Info[at:])) }
	flags, invert := word(flagsAt), word(invertAt)
	all := yes
	if flags&matchState != 0 {
		hit := truthOf(p.State&word(stateAt)&^StateUntracked != 0 || p.State == StateUntracked && word(stateAt)&xtUntracked != 0)
		if hit == no {
			for bit, status := range map[uint32]uint32{xtStateSNAT: StatusSNAT, xtStateDNAT: StatusDNAT} {
				if word(stateAt)&bit != 0 {
					hit = max(hit, anyBit(p.Status, p.StatusKnown, status))
				}
			}
		}
		if invert&matchState != 0 {
			hit = hit.not()
		}
		all = all.and(hit)
	}
	if flags&matchStatus != 0 {
		hit := anyBit(p.Status, p.StatusKnown, word(statusAt))
		if invert&matchStatus != 0 {
			hit = hit.not()
		}
		all = all.and(hit)
	}
	if flags&^(matchState|matchStatus|alias) != 0 {
		all = all.and(maybe)
	}
	return all
}

// anyBit tells whether one of the wanted bits is set.
func anyBit(have, known, want uint32) truth {
	switch {
	case have&known&want != 0:
		return yes
	case want&^known != 0:
		return maybe
	}
	return no
}

func xtState(info []byte, p *Packet) truth {
	if len(info) < 4 {
		return maybe
	}
	return truthOf(p.State&binary.NativeEndian.Uint32(info) != 0)
}

func xtTCP(info []byte, p *Packet) truth {
	const (
		invertSrc = 1 << iota
		invertDst
		invertFlags
		invertOption
	)
	if p.Proto != unix.IPPROTO_TCP {
		return no
	}
	if len(info) < 12 {
		return maybe
	}
	port := func(at int) uint16 { return binary.NativeEndian.Uint16(info[at:]) }
	option, mask, cmp, invert := info[8], info[9], info[10], info[11]
	in := func(p uint16, at int, inverted bool) truth {
		t := portIn(p, port(at), port(at+2))
		if inverted {
			t = t.not()
		}
		return t
	}
	all := in(p.Src.Port(), 0, invert&invertSrc != 0).and(in(p.Dst.Port(), 4, invert&invertDst != 0))
	if mask != 0 {
		flags := compare(bitwise(p.transport().slice(13, 1), []byte{mask}, nil), Equal, []byte{cmp})
		if invert&invertFlags != 0 {
			flags = flags.not()
		}
		all = all.and(flags)
	}
	if option != 0 {
		all = all.and(maybe)
	}
	return all
}

// portIn tells whether a port, 0 for an unknown one, lies in a range.
func portIn(p, first, last uint16) truth {
	switch {
	case first == 0 && last == 0xffff:
		return yes
	case p == 0:
		return maybe
	}
	return truthOf(first <= p && p <= last)
}

func xtMultiport(x XTMatch, p *Packet) truth {
	const (
		source, destination, either = 0, 1, 2
		maxPorts                    = 15
		portsAt                     = 2
		pairsAt                     = portsAt + 2*maxPorts
		invertAt                    = pairsAt + maxPorts
	)
	if x.Rev != 1 || len(x.Info) <= invertAt || x.Info[0] > either || x.Info[1] > maxPorts {
		return maybe
	}
	hit := no
	for i := 0; i < int(x.Info[1]); i++ {
		port := func(i int) uint16 { return binary.NativeEndian.Uint16(x.Info[portsAt+2*i:]) }
		first, last := port(i), port(i)
		if x.Info[pairsAt+i] != 0 && i+1 < maxPorts { // a range takes two
			i++
			last = port(i)
		}
		if x.Info[0] != destination {
			hit = max(hit, portIn(p.Src.Port(), first, last))
		}
		if x.Info[0] != source {
			hit = max(hit, portIn(p.Dst.Port(), first, last))
		}
	}
	if x.Info[invertAt] != 0 {
		return hit.not()
	}
	return hit
}

func xtAddrType(x XTMatch, p *Packet) truth {
	const (
		unicast, local = 1 << 1, 1 << 2
		invertSource   = 1
		invertDest     = 2
	)
	if x.Rev != 1 || len(x.Info) < 8 {
		return maybe
	}
	source, dest := binary.NativeEndian.Uint16(x.Info), binary.NativeEndian.Uint16(x.Info[2:])
	flags := binary.NativeEndian.Uint32(x.Info[4:])
	all := yes
	if dest != 0 {
		hit := maybe
		switch {
		case p.DstLocal:
			hit = truthOf(dest&local != 0)
		case p.DstNotLocal:
			hit = truthOf(dest&unicast != 0)
		}
		if flags&invertDest != 0 {
			hit = hit.not()
		}
		all = all.and(hit)
	}
	if source != 0 { // our packets come from other hosts
		hit := truthOf(source&unicast != 0)
		if flags&invertSource != 0 {
			hit = hit.not()
		}
		all = all.and(hit)
	}
	if flags&^uint32(invertSource|invertDest) != 0 {
		all = all.and(maybe)
	}
	return all
}

func xtHopLimit(info []byte, p *Packet) truth {
	const equal = 0
	if len(info) < 2 || info[0] != equal || p.Hops == 0 {
		return maybe
	}
	return truthOf(info[1] == p.Hops)
}

func xtICMP(info []byte, p *Packet) truth {
	if p.Proto == unix.IPPROTO_TCP {
		return no
	}
	if len(info) < 4 {
		return maybe
	}
	hit := truthOf(info[0] == p.ICMP || info[0] == 0xff)
	if hit == yes && (info[1] != 0 || info[2] != 0xff) { // a range of codes
		hit = maybe
	}
	if info[3]&1 != 0 {
		return hit.not()
	}
	return hit
}

// xtTarget adds what a target of iptables does. ACCEPT, DROP and jumps are verdicts and no targets.
func (e *effect) xtTarget(x XTTarget) {
	switch x.Name {
	case "REJECT":
		e.verdicts = []Verdict{{Kind: Drop}}
	case "DNAT", "REDIRECT", "SNAT", "MASQUERADE", "NETMAP":
		e.verdicts = []Verdict{{Kind: Accept}}
		e.marks = append(e.marks, Mark{What: Translated})
	case "CT":
		e.xtCT(x.Info)
	case "NOTRACK":
		e.marks = append(e.marks, Mark{What: Untracked})
	case "LOG", "NFLOG", "TRACE", "MARK", "CONNMARK", "SECMARK", "CONNSECMARK", "TCPMSS", "TCPOPTSTRIP", "CHECKSUM", "CLASSIFY",
		"DSCP", "TOS", "TTL", "HL", "SET", "LED", "RATEEST", "HMARK", "IDLETIMER", "AUDIT", "TEE":
	case "NFQUEUE":
		e.verdicts = []Verdict{{Kind: Queue}}
	default:
		e.verdicts = []Verdict{{Kind: Accept}, {Kind: Drop}, {Kind: Continue}}
		e.also(maybe, "it depends on iptables' target "+x.Name)
	}
}

// xtCT reads struct xt_ct_target_info_v1: flags, zone, two event masks, the helper's name.
func (e *effect) xtCT(info []byte) {
	const (
		helperAt = 12
		helper   = 16
		noTrack  = 1
	)
	if len(info) < helperAt+helper {
		return
	}
	if binary.NativeEndian.Uint16(info)&noTrack != 0 {
		e.marks = append(e.marks, Mark{What: Untracked})
	}
	name, _, _ := bytes.Cut(info[helperAt:helperAt+helper], []byte{0})
	if len(name) > 0 {
		e.marks = append(e.marks, Mark{What: Helper, Name: string(name)})
	}
}
