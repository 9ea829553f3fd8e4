package packet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

var (
	src4, dst4 = net.IP{203, 0, 113, 9}, net.IP{192, 0, 2, 10}
	src6, dst6 = net.ParseIP("2001:db8:1::9"), net.ParseIP("2001:db8::10")
)

// build serialises layers with lengths and checksums computed by gopacket.
func build(t testing.TB, l ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, l...); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(buf.Bytes())
}

func ip4(opts ...layers.IPv4Option) *layers.IPv4 {
	return &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: src4, DstIP: dst4, Options: opts}
}

func ip6() *layers.IPv6 {
	return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: src6, DstIP: dst6}
}

func tcp(t testing.TB, n gopacket.NetworkLayer) *layers.TCP {
	t.Helper()
	h := &layers.TCP{SrcPort: 40000, DstPort: 21, Seq: 0xfffffffe, Ack: 7, ACK: true, PSH: true, Window: 1000}
	if err := h.SetNetworkLayerForChecksum(n); err != nil {
		t.Fatal(err)
	}
	return h
}

func packet4(t testing.TB, payload string) []byte {
	ip := ip4()
	return build(t, ip, tcp(t, ip), gopacket.Payload(payload))
}

func packet6(t testing.TB, payload string) []byte {
	ip := ip6()
	return build(t, ip, tcp(t, ip), gopacket.Payload(payload))
}

// packet6Ext puts extension headers before the TCP header.
func packet6Ext(t testing.TB, payload string) []byte {
	b := packet6(t, payload)
	ext := []byte{
		protoRouting, 0, 1, 4, 0, 0, 0, 0, // hop-by-hop: PadN
		protoDestOpts, 0, 0, 0, 0, 0, 0, 0, // routing: nothing left
		protoTCP, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // destination options
	}
	b = append(b[:40:40], append(ext, b[40:]...)...)
	b[6] = protoHopByHop
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	return b
}

func TestParse(t *testing.T) {
	const payload = "PASV\r\n"
	opt := layers.IPv4Option{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}
	withOpts := ip4(opt)
	tcpOpts := func() []byte {
		ip := ip4()
		h := tcp(t, ip)
		h.Options = []layers.TCPOption{{OptionType: layers.TCPOptionKindNop}, {OptionType: layers.TCPOptionKindNop},
			{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: make([]byte, 8)}}
		return build(t, ip, h, gopacket.Payload(payload))
	}
	for _, tt := range []struct {
		name string
		b    []byte
		v6   bool
	}{
		{"IPv4", packet4(t, payload), false},
		{"IPv4 options", build(t, withOpts, tcp(t, withOpts), gopacket.Payload(payload)), false},
		{"TCP options", tcpOpts(), false},
		{"padded by the link", append(packet4(t, payload), 0, 0, 0, 0), false},
		{"IPv6", packet6(t, payload), true},
		{"IPv6 padded", append(packet6(t, payload), 1, 2, 3), true},
		{"IPv6 extension headers", packet6Ext(t, payload), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Parse(tt.b)
			if err != nil {
				t.Fatal(err)
			}
			src, dst := "203.0.113.9:40000", "192.0.2.10:21"
			if tt.v6 {
				src, dst = "[2001:db8:1::9]:40000", "[2001:db8::10]:21"
			}
			if p.Src.String() != src || p.Dst.String() != dst || p.Seq != 0xfffffffe || p.Ack != 7 ||
				p.Flags != ACK|PSH || !p.Flags.Has(PSH) || p.Flags.Has(SYN|ACK) || string(p.Payload) != payload {
				t.Errorf("got %+v", p)
			}
			if !p.ChecksumOK() {
				t.Error("checksum is called wrong")
			}
			if err := p.SetPayload([]byte("EPSV\r\n")); err != nil {
				t.Fatal(err)
			}
			oracle(t, p.Bytes(), "EPSV\r\n")
			if err := p.SetPayload([]byte("x")); !errors.Is(err, ErrLength) {
				t.Errorf("other length: %v", err)
			}
		})
	}
}

// oracle lets gopacket check the TCP checksum and the payload.
func oracle(t testing.TB, b []byte, payload string) {
	t.Helper()
	first := layers.LayerTypeIPv4
	if b[0]>>4 == 6 {
		first = layers.LayerTypeIPv6
	}
	p := gopacket.NewPacket(b, first, gopacket.Default)
	if e := p.ErrorLayer(); e != nil {
		t.Fatal(e.Error())
	}
	if err := p.TransportLayer().(*layers.TCP).SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
		t.Fatal(err)
	}
	if err, bad := p.VerifyChecksums(); err != nil || len(bad) > 0 {
		t.Fatalf("gopacket: %v %v", err, bad)
	}
	if got := string(p.TransportLayer().LayerPayload()); got != payload {
		t.Fatalf("payload %q, want %q", got, payload)
	}
}

func TestChecksums(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		old, with := make([]byte, n), make([]byte, n)
		for i := range n {
			old[i], with[i] = byte(r.Uint32()), byte(r.Uint32())
		}
		if n > 10 { // words of ones are where checksums go wrong
			copy(with[n/2:], []byte{0xff, 0xff, 0xff, 0xff})
		}
		for _, b := range [][]byte{packet4(t, string(old)), packet6(t, string(old)), packet6Ext(t, string(old))} {
			p, err := Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.SetPayload(with); err != nil {
				t.Fatal(err)
			}
			oracle(t, b, string(with))
			if !p.ChecksumOK() {
				t.Fatal("checksum is called wrong")
			}
		}
	}
}

func TestMalformed(t *testing.T) {
	v4, v6, ext := packet4(t, "x"), packet6(t, "x"), packet6Ext(t, "x")
	change := func(b []byte, at int, v ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], v)
		return b
	}
	for _, tt := range []struct {
		name string
		b    []byte
		want error
	}{
		{"empty", nil, ErrShort},
		{"version 5", []byte{0x50}, ErrVersion},
		{"IPv4 short", v4[:19], ErrShort},
		{"IPv4 header length 4", change(v4, 0, 0x44), ErrHeader},
		{"IPv4 total length below header", change(v4, 2, 0, 19), ErrHeader},
		{"IPv4 total length beyond", change(v4, 2, 0xff, 0xff), ErrShort},
		{"IPv4 more fragments", change(v4, 6, 0x20), ErrFragment},
		{"IPv4 later fragment", change(v4, 7, 1), ErrFragment},
		{"IPv4 UDP", change(v4, 9, 17), ErrNotTCP},
		{"IPv4 no room for TCP", change(v4[:30], 2, 0, 30), ErrShort},
		{"TCP offset 16", change(v4, 32, 0x40), ErrHeader},
		{"TCP offset beyond", change(v4, 32, 0xf0), ErrShort},
		{"IPv6 short", v6[:39], ErrShort},
		{"IPv6 length beyond", change(v6, 4, 0xff, 0xff), ErrShort},
		{"IPv6 ICMP", change(v6, 6, 58), ErrNotTCP},
		{"IPv6 fragment", change(v6, 6, protoFragment), ErrFragment},
		{"IPv6 extension header beyond", change(ext, 41, 200), ErrShort},
		{"IPv6 extension header cut", change(ext[:44], 4, 0, 4), ErrShort},
		{"IPv6 no next header", change(v6, 6, 59), ErrNotTCP},
	} {
		if _, err := Parse(tt.b); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, b := range [][]byte{packet4(f, "PASV\r\n"), packet6(f, "PASV\r\n"), packet6Ext(f, "PASV\r\n"), packet4(f, ""), {0x45}, {0x60}} {
		f.Add(b, byte('x'))
	}
	f.Fuzz(func(t *testing.T, b []byte, c byte) {
		whole := bytes.Clone(b)
		p, err := Parse(b)
		if err != nil {
			return
		}
		if len(p.Bytes()) > len(b) || len(p.Payload) > len(p.Bytes())-40 {
			t.Fatalf("%d bytes of payload, %d of packet, %d given", len(p.Payload), len(p.Bytes()), len(b))
		}
		if err := p.SetPayload(bytes.Repeat([]byte{c}, len(p.Payload))); err != nil {
			t.Fatal(err)
		}
		if !p.ChecksumOK() {
			t.Fatal("checksum is wrong after SetPayload")
		}
		n := len(p.Bytes())
		if !bytes.Equal(whole[n:], b[n:]) {
			t.Fatal("bytes after the packet changed")
		}
		q, err := Parse(b)
		if err != nil || q.Src != p.Src || q.Dst != p.Dst || q.Seq != p.Seq || len(q.Payload) != len(p.Payload) {
			t.Fatalf("read again: %+v, %v", q, err)
		}
	})
}

func BenchmarkSetPayload(b *testing.B) {
	raw := packet4(b, "227 Entering Passive Mode (10,2,0,11,195,80).\r\n")
	out := []byte("227 Entering Passive Mode (192,0,2,10,195,80)\r\n")
	b.ReportAllocs()
	for b.Loop() {
		p, err := Parse(raw)
		if err != nil {
			b.Fatal(err)
		}
		if err := p.SetPayload(out); err != nil {
			b.Fatal(err)
		}
	}
}

// TestSpoilChecksum: the receiver must not take the packet, whatever its checksum was.
func TestSpoilChecksum(t *testing.T) {
	for i := range 1 << 12 {
		payload := string([]byte{byte(i), byte(i >> 4), '\r', '\n'})
		for _, b := range [][]byte{packet4(t, payload), packet6(t, payload), packet6Ext(t, payload)} {
			p, err := Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			p.SpoilChecksum()
			if p.ChecksumOK() {
				t.Fatalf("payload %q: the checksum is right", payload)
			}
			p.SpoilChecksum()
			if p.ChecksumOK() {
				t.Fatalf("payload %q: spoilt twice, the checksum is right", payload)
			}
		}
	}
}
