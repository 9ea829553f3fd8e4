package walk

import (
	"bytes"
	"encoding/binary"

	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// xtMatch judges a match of iptables that nft_compat carries. google/nftables has types for some of them; it lacks state,
// multiport, rpfilter, icmp and hl, which are read here by the layouts of linux/netfilter/xt_*.h.
func xtMatch(x XTMatch, p *Packet) (truth, string) {
	why := "it depends on iptables' match " + x.Name
	var m truth
	switch x.Name {
	case "comment":
		return yes, ""
	case "tcp":
		m = no
		if p.Proto == unix.IPPROTO_TCP {
			m = xtTyped(x, p)
		}
	case "conntrack", "addrtype":
		m = xtTyped(x, p)
	case "state":
		m = xtState(x.Info, p)
	case "multiport":
		m = xtMultiport(x, p)
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
	case "helper":
		m = xtHelper(x.Info, p)
	default:
		m = maybe
	}
	return m, why
}

// xtHelper reads struct xt_helper_info: whether it is inverted, and a name, of which any will do if it is empty.
func xtHelper(info []byte, p *Packet) truth {
	if len(info) < 5 {
		return maybe
	}
	name, _, _ := bytes.Cut(info[4:], []byte{0})
	m := truthOf(p.Expected && (len(name) == 0 || bytes.HasPrefix(name, []byte(p.Helper))))
	if p.Expected && p.Helper == "" {
		m = maybe
	}
	if binary.NativeEndian.Uint32(info) != 0 {
		m = m.not()
	}
	return m
}

// xtTyped judges the matches that the library decodes. Addresses take as much room in every family as in IPv6.
func xtTyped(x XTMatch, p *Packet) truth {
	info, err := xt.Unmarshal(x.Name, unix.NFPROTO_IPV6, x.Rev, x.Info)
	if err != nil {
		return maybe
	}
	switch info := info.(type) {
	case *xt.ConntrackMtinfo2:
		return xtConntrack(info, p)
	case *xt.ConntrackMtinfo3:
		return xtConntrack(&info.ConntrackMtinfo2, p)
	case *xt.Tcp:
		return xtTCP(info, p)
	case *xt.AddrTypeV1:
		if len(x.Info) < addrTypeSize { // which the library reads as zeros
			return maybe
		}
		return xtAddrType(info, p)
	}
	return maybe // an older revision
}

// addrTypeSize is the size of struct xt_addrtype_info_v1.
const addrTypeSize = 8

// xt_conntrack's bits for NAT in its state mask, beyond those that it shares with nft.
const (
	xtStateSNAT = 1 << 6
	xtStateDNAT = 1 << 7
	xtUntracked = 1 << 8
)

func xtConntrack(x *xt.ConntrackMtinfo2, p *Packet) truth {
	flags, invert := xt.ConntrackFlags(x.MatchFlags), xt.ConntrackFlags(x.InvertFlags)
	states := uint32(x.StateMask)
	all := yes
	if flags&xt.ConntrackState != 0 {
		hit := truthOf(p.State&states&^StateUntracked != 0 || p.State == StateUntracked && states&xtUntracked != 0)
		if hit == no {
			for bit, status := range map[uint32]uint32{xtStateSNAT: StatusSNAT, xtStateDNAT: StatusDNAT} {
				if states&bit != 0 {
					hit = max(hit, anyBit(p.Status, p.StatusKnown, status))
				}
			}
		}
		if invert&xt.ConntrackState != 0 {
			hit = hit.not()
		}
		all = all.and(hit)
	}
	if flags&xt.ConntrackStatus != 0 {
		hit := anyBit(p.Status, p.StatusKnown, uint32(x.StatusMask))
		if invert&xt.ConntrackStatus != 0 {
			hit = hit.not()
		}
		all = all.and(hit)
	}
	if flags&^(xt.ConntrackState|xt.ConntrackStatus|xt.ConntrackStateAlias) != 0 {
		all = all.and(maybe)
	}
	return all
}

// anyBit reports whether one of the wanted bits is set.
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

func xtTCP(x *xt.Tcp, p *Packet) truth {
	in := func(p uint16, ports [2]uint16, inverted bool) truth {
		t := portIn(p, ports[0], ports[1])
		if inverted {
			t = t.not()
		}
		return t
	}
	all := in(p.Src.Port(), x.SrcPorts, x.InvFlags&xt.TcpInvSrcPorts != 0).and(
		in(p.Dst.Port(), x.DstPorts, x.InvFlags&xt.TcpInvDestPorts != 0))
	if x.FlagsMask != 0 {
		flags := compare(bitwise(p.transport().slice(13, 1), []byte{x.FlagsMask}, nil), Equal, []byte{x.FlagsCmp})
		if x.InvFlags&xt.TcpInvFlags != 0 {
			flags = flags.not()
		}
		all = all.and(flags)
	}
	if x.Option != 0 {
		all = all.and(maybe)
	}
	return all
}

// portIn reports whether a port, 0 for an unknown one, lies in a range.
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

func xtAddrType(x *xt.AddrTypeV1, p *Packet) truth {
	const ( // the library has the words of the types for these
		invertSource = 1
		invertDest   = 2
	)
	source, dest := xt.AddrTypeFlags(x.Source), xt.AddrTypeFlags(x.Dest)
	all := yes
	if dest != 0 {
		hit := maybe
		switch {
		case p.DstLocal:
			hit = truthOf(dest&xt.AddrTypeLocal != 0)
		case p.DstNotLocal:
			hit = truthOf(dest&xt.AddrTypeUnicast != 0)
		}
		if x.Flags&invertDest != 0 {
			hit = hit.not()
		}
		all = all.and(hit)
	}
	if source != 0 { // our packets come from other hosts
		hit := truthOf(source&xt.AddrTypeUnicast != 0)
		if x.Flags&invertSource != 0 {
			hit = hit.not()
		}
		all = all.and(hit)
	}
	if x.Flags&^(invertSource|invertDest) != 0 {
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

// xtCT reads struct xt_ct_target_info_v1, for which google/nftables has no type: flags, zone, two event masks, the helper's name.
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
