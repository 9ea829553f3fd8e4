package journal

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"ftpvip/helper/ftp"
)

// Cause is why a data connection failed.
type Cause uint8

// The causes.
const (
	NeverCame  Cause = iota // announced, but nobody opened it
	NoAnswer                // opened, but the other end was silent
	PeerReset               // opened, but the other end refused it
	Refused                 // by policy
	Impossible              // the kernel could not be told of it
	NoFit                   // our address has no room in the announcement
	Dropped                 // the first packet came to this host, which dropped it

	NumCauses
)

var causeNames = [NumCauses]string{"never_came", "no_answer", "reset", "policy", "impossible", "no_fit", "dropped_here"}

// String returns a name that suits a metric label.
func (c Cause) String() string {
	if c < NumCauses {
		return causeNames[c]
	}
	return "unknown"
}

// Failure is one data connection that failed.
type Failure struct {
	Cause   Cause
	Mode    Mode
	Command ftp.Command    // that announced it
	At      netip.AddrPort // NeverCame: where it was awaited; NoAnswer, PeerReset: where it was to end; Refused: what was named
	From    netip.Addr     // NeverCame: the end that was to open it
	Waited  time.Duration  // NeverCame
	Reason  ftp.Reason     // Refused
	Detail  string         // Impossible
	Ours    netip.Addr     // NoFit: the address that had no room
}

// String says what went wrong, and what to do about it.
func (f Failure) String() string {
	passive := f.Mode == Passive
	switch f.Cause {
	case NeverCame:
		waited := f.Waited.Round(time.Second)
		if passive {
			return fmt.Sprintf("client never came to %s within %s: check the client's firewall, and what filters before this host",
				f.At, waited)
		}
		return fmt.Sprintf("backend never connected from %s to %s within %s: "+
			"check that its firewall lets active data connections out and that they are routed by this host", f.From, f.At, waited)
	case NoAnswer:
		if passive {
			return fmt.Sprintf("backend did not answer on %s: check the backend's firewall and its route to the client", f.At)
		}
		return fmt.Sprintf("client did not answer on %s: check the client's firewall, or let it use passive mode", f.At)
	case PeerReset:
		who := "backend"
		if !passive {
			who = "client"
		}
		return fmt.Sprintf("%s refused the connection to %s: nothing listens there", who, f.At)
	case Refused:
		text := fmt.Sprintf("refused by policy %s: %s", f.Reason, f.Command)
		if f.At.IsValid() {
			text += fmt.Sprintf(" named %s", f.At)
		}
		if cure := Cure(f.Reason); cure != "" {
			text += "; " + cure
		}
		return text
	case NoFit:
		return f.noFit()
	case Dropped:
		who := "client"
		if !passive {
			who = "backend"
		}
		return fmt.Sprintf("the %s's connection to %s came to this host and was dropped here, by a firewall rule of this host: "+
			"see `ftpvip doctor`", who, f.At)
	case Impossible:
		return fmt.Sprintf("%s could not be announced to the kernel: %s", f.Command, f.Detail)
	case NumCauses:
	}
	return "unknown"
}

// noFit names both addresses and the remedy.
func (f Failure) noFit() string {
	if f.Command == ftp.CmdPORT || f.Command == ftp.CmdEPRT {
		return fmt.Sprintf("%s named %s, and this host's address %s, which the server has to see instead, is too long for its place: "+
			"set snat of the pool to a shorter address, or let the client use passive mode", f.Command, f.At, f.Ours)
	}
	return fmt.Sprintf("the reply to %s named %s, and the VIP's address %s is too long for its place, so the client got a 425: "+
		"let the server reply with words, as in \"227 Entering Passive Mode\", which give way, or let the client use EPSV",
		f.Command, f.At, f.Ours)
}

// Cure says which setting has to do with a refusal; "" if none has.
func Cure(r ftp.Reason) string {
	switch r {
	case ftp.ReasonForeign:
		return "the server names an address that is not its own: set the address on the server, or list it in the backend's aliases"
	case ftp.ReasonThirdParty:
		return "clients may name nobody but themselves; a client behind NAT should use passive mode; fxp: allow permits other hosts (two-arm)"
	case ftp.ReasonLowPort:
		return "ports_min of the VIP is the lowest port that may be announced"
	case ftp.ReasonQuota:
		return "helper.max_data_per_client and helper.max_data limit what may be announced and not open yet"
	case ftp.ReasonNoPort:
		return "all ports that fit are busy: conntrack holds earlier connections to them for two minutes"
	case ftp.ReasonOpen:
		return "the kernel refuses: see `ftpvip doctor`"
	case ftp.ReasonAmbiguous:
		return "numbers with leading zeros mean something else to some servers"
	case ftp.ReasonLongAddr:
		return "use PASV, EPSV, PORT or EPRT"
	case ftp.ReasonFamily:
		return "the address is of another family than the control connection: use EPSV or EPRT with IPv6"
	case ftp.ReasonTLS:
		return "the server has no passive_ports, so passive mode cannot work in TLS; give it some, or set tls_without_slice: warn"
	case ftp.ReasonUnsynced:
		return "the helper began to read in the middle of a line; the next command is read"
	case ftp.ReasonNone, ftp.ReasonMalformed, ftp.ReasonObscured, ftp.ReasonEPSVAll, ftp.ReasonTooLong, ftp.ReasonTooSlow, ftp.ReasonNoFit,
		ftp.NumReasons:
	}
	return "" // the client's own doing
}

// maxFailures is how many failures are told one by one.
const maxFailures = 8

// Failures tells all failures in one line; "" where there were none.
func (b *Book) Failures() string {
	if len(b.failures) == 0 {
		return ""
	}
	list := make([]string, 0, len(b.failures)+1)
	for _, f := range b.failures {
		list = append(list, f.String())
	}
	if b.more > 0 {
		list = append(list, fmt.Sprintf("and %d more", b.more))
	}
	return strings.Join(list, "; ")
}

// Failed is the number of failures.
func (b *Book) Failed() int { return len(b.failures) + int(b.more) }

// Fail enters a failure.
func (b *Book) Fail(f Failure) {
	if len(b.failures) == maxFailures {
		b.more++
		return
	}
	b.failures = append(b.failures, f)
}
