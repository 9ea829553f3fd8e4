package script

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Step is something that a server does. argument is what followed the verb.
type Step func(s *Session, argument string) error

// Say sends a text as the script cuts replies to the verb. {227} in it is the address where the server listens, as a
// reply to PASV has it, and {229} its port.
func Say(text string) Step {
	return func(s *Session, _ string) error { return s.reply(s.verb, s.fill(text)) }
}

// SayCut sends a text cut in its own way.
func SayCut(text string, c Cut) Step {
	return func(s *Session, _ string) error {
		s.speaking.Lock()
		defer s.speaking.Unlock()
		return s.Say(s.ctx, s.fill(text), c)
	}
}

func (s *Session) fill(text string) string {
	if s.listener == nil {
		return text
	}
	at := addrPort(s.listener.Addr())
	text = strings.ReplaceAll(text, "{227}", fmt.Sprintf("%s,%d,%d",
		strings.ReplaceAll(at.Addr().String(), ".", ","), at.Port()>>8, at.Port()&255))
	return strings.ReplaceAll(text, "{229}", fmt.Sprint(at.Port()))
}

// Wait waits for a channel to be closed.
func Wait(until <-chan struct{}) Step {
	return func(s *Session, _ string) error {
		select {
		case <-until:
			return nil
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
}

// Pause does nothing for a time.
func Pause(d time.Duration) Step {
	return func(s *Session, _ string) error {
		ctx, cancel := context.WithTimeout(s.ctx, d)
		defer cancel()
		<-ctx.Done()
		return context.Cause(s.ctx)
	}
}

// HangUp says no more; what the client says is still read.
func HangUp() Step { return func(s *Session, _ string) error { return s.CloseWrite() } }

// Listen has the next data connection come to a fresh port of the server.
func Listen() Step {
	return func(s *Session, _ string) error {
		l, err := ListenFresh(s.ctx, s.host, s.Local().Addr())
		if err != nil {
			return err
		}
		if s.listener != nil {
			_ = s.listener.Close()
		}
		s.listener, s.target = l, netip.AddrPort{}
		return nil
	}
}

// Announced takes what PORT or EPRT says, has the next data connection go there, and answers.
func Announced() Step {
	return func(s *Session, argument string) error {
		at, err := ParseAnnouncement(s.verb, argument)
		if err != nil {
			return s.reply(s.verb, "501 "+err.Error()+"\r\n")
		}
		if s.listener != nil {
			_ = s.listener.Close()
		}
		s.listener, s.target = nil, at
		return s.reply(s.verb, "200 ok\r\n")
	}
}

// ParseAnnouncement reads the argument of PORT or EPRT as servers do.
func ParseAnnouncement(verb, argument string) (netip.AddrPort, error) {
	if verb == "EPRT" {
		var family, addr, port string
		if fields := strings.Split(argument, "|"); len(fields) == 5 {
			family, addr, port = fields[1], fields[2], fields[3]
		}
		a, err := netip.ParseAddr(addr)
		p, portErr := strconv.ParseUint(port, 10, 16)
		if err := errors.Join(err, portErr); err != nil || family == "" {
			return netip.AddrPort{}, fmt.Errorf("no address in %q", argument)
		}
		return netip.AddrPortFrom(a, uint16(p)), nil
	}
	var b [6]byte
	if _, err := fmt.Sscanf(argument, "%d,%d,%d,%d,%d,%d", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]); err != nil {
		return netip.AddrPort{}, fmt.Errorf("no address in %q", argument)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:4])), uint16(b[4])<<8|uint16(b[5])), nil
}
