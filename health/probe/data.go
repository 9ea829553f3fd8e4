package probe

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"ftpvip/configs"
	"ftpvip/health/judge"
	"ftpvip/helper/ftp"
)

// channel is a data connection to be. connect is called once the server has said 1xx, or will never say it.
type channel struct {
	mode    configs.DataMode
	connect func() (net.Conn, error)
	waiting string // what a server that does not answer the transfer command may be waiting for
}

// channel asks for a data connection in a mode. A passive one is open when it returns.
func (s *session) channel(mode configs.DataMode) (channel, error) {
	if mode == configs.ModePORT || mode == configs.ModeEPRT {
		return s.listen(mode)
	}
	port, err := s.askPassive(mode)
	if err != nil {
		return channel{}, err
	}
	to := netip.AddrPortFrom(s.t.dialed().Addr(), port)
	conn, err := dialFrom(s.ctx, s.local(), to, 0)
	if err != nil {
		return channel{}, failed(judge.StepData, fmt.Sprintf("%s: the data connection to %s: %s", mode, to, s.explainData(err)), err)
	}
	s.guard(conn)
	return channel{mode: mode, connect: func() (net.Conn, error) { return conn, nil }}, nil
}

// askPassive returns the port that the server listens on. As the helper does, it takes a 227 and a 229 for either command.
func (s *session) askPassive(mode configs.DataMode) (uint16, error) {
	r, err := s.command(judge.StepData, strings.ToUpper(string(mode)), 227, 229)
	if err != nil {
		return 0, err
	}
	if r.code == 229 {
		port, ok := ftp.ParseEPSV(r.text, r.last)
		if !ok {
			return 0, failed(judge.StepData, string(mode)+": the reply names no port: 229 "+r.quoted(), nil)
		}
		return port, nil
	}
	at, ok := ftp.ParsePASV(r.text, r.last)
	if !ok {
		return 0, failed(judge.StepData, string(mode)+": the reply names no address and port: 227 "+r.quoted(), nil)
	}
	named := s.t.Spec.Named
	switch {
	case len(named) == 0 || at.Addr().IsUnspecified() || slices.Contains(named, at.Addr()): // 0.0.0.0 is the server itself
		return at.Port(), nil
	case s.t.Via.IsValid() && s.t.Spec.Backend.Addrs.Has(at.Addr()):
		return 0, failed(judge.StepLocal, fmt.Sprintf("pasv: the reply names the server's own address %s: nobody rewrites it; is the helper running?", at.Addr()), nil)
	}
	return 0, failed(judge.StepData, fmt.Sprintf("pasv: the reply names %s, which is none of the server's addresses, so the helper refuses it; "+
		"set the address on the server, or add it to the backend's aliases", at.Addr()), nil)
}

// local is our end of the control connection: data connections have to be of the same address.
func (s *session) local() netip.Addr {
	a, err := netip.ParseAddrPort(s.conn.LocalAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

// listen waits for the server's own connection.
func (s *session) listen(mode configs.DataMode) (channel, error) {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.local(), 0)))
	if err != nil {
		return channel{}, failed(judge.StepLocal, fmt.Sprintf("%s: this host cannot listen on %s: %v", mode, s.local(), err), err)
	}
	s.ends = append(s.ends, func() { _ = l.Close() })
	at := netip.AddrPortFrom(s.local(), uint16(l.Addr().(*net.TCPAddr).Port))
	line := "EPRT " + eprtArgument(at)
	if mode == configs.ModePORT {
		line = "PORT " + portArgument(at)
	}
	if _, err := s.command(judge.StepData, line, 200); err != nil {
		return channel{}, err
	}
	waiting := fmt.Sprintf("%s: the server does not connect to %s: firewalls on the way, this host's included, have to let it", mode, at)
	return channel{mode: mode, waiting: waiting, connect: func() (net.Conn, error) {
		if d, ok := s.ctx.Deadline(); ok {
			_ = l.SetDeadline(d)
		}
		for {
			conn, err := l.Accept()
			if err != nil {
				return nil, failed(judge.StepData, waiting, err)
			}
			if peer, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err != nil || !s.mayConnect(peer.Addr().Unmap()) {
				_ = conn.Close() // a stranger
				continue
			}
			s.guard(conn)
			return conn, nil
		}
	}}, nil
}

// mayConnect reports whether a data connection may come from an address: the backend's or the VIP's.
func (s *session) mayConnect(a netip.Addr) bool {
	return a == s.t.dialed().Addr() || s.t.Spec.Backend.Addrs.Has(a) || slices.Contains(s.t.Spec.Named, a)
}

func (s *session) explainData(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused: a firewall rejects it, or the server announces a port that it does not listen on"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "unreachable: a firewall rejects it, or there is no route"
	case isTimeout(err):
		return fmt.Sprintf("no answer before the check's %v were over: a firewall drops it; let the server's passive ports in", s.t.Timeout)
	}
	return err.Error()
}
