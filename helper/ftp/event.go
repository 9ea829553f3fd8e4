package ftp

import "net/netip"

// Command is a verb that the engine knows.
type Command uint8

// The verbs that matter to a gateway.
const (
	CmdNone  Command = iota
	CmdPASV          // RFC 959
	CmdEPSV          // RFC 2428
	CmdPORT          // RFC 959
	CmdEPRT          // RFC 2428
	CmdLPRT          // RFC 1639
	CmdLPSV          // RFC 1639
	CmdAUTH          // RFC 2228, RFC 4217
	CmdUSER          // RFC 959
	CmdOther         // any other

	NumCommands // how many there are
)

var commandNames = [NumCommands]string{"none", "PASV", "EPSV", "PORT", "EPRT", "LPRT", "LPSV", "AUTH", "USER", "other"}

// String returns the verb.
func (c Command) String() string {
	if int(c) < len(commandNames) {
		return commandNames[c]
	}
	return "unknown"
}

// Kind is the kind of an Event.
type Kind uint8

// What can happen on a control connection.
const (
	EventExpected    Kind = iota // a data connection was announced and its expectation made
	EventRewritten               // an announcement was rewritten
	EventRefused                 // neutralised, see Reason
	EventNoFit                   // cannot be rewritten at equal length: neutralised
	EventUnexpected              // a 227 or 229 without a PASV or EPSV: not acted on, and its address is blanked
	EventOpenFailed              // no expectation could be made, but the announcement passed: see Err
	EventOpaque                  // TLS from here on
	EventReadable                // plain text again (CCC, RFC 4217 section 12.3; or TLS failed)
	EventPickedUp                // a direction was picked up in the middle
	EventLineTooLong             // a line was too long to be read
	EventHeldTooLong             // the rest of a held line did not come in time
	EventOverlap                 // a retransmission with other bytes: dropped
	EventStale                   // a retransmission from before what is remembered
	EventEarly                   // a segment beyond a gap: dropped
	EventGap                     // a gap was given up: what it held never came this way
	EventCommand                 // the client said a command: see Verb
	EventGoodbye                 // the server answers QUIT: 221
	EventGivesUp                 // the server ends the session: 421

	NumKinds // how many there are
)

var kindNames = [NumKinds]string{
	"expected", "rewritten", "refused", "no_fit", "unexpected", "open_failed", "opaque", "readable",
	"picked_up", "line_too_long", "held_too_long", "overlap", "stale", "early", "gap", "command", "goodbye", "gives_up",
}

// String returns a name that suits a log key or a metric label.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Reason says why something was refused.
type Reason uint8

// The reasons.
const (
	ReasonNone       Reason = iota
	ReasonThirdParty        // PORT or EPRT names another host than the client (RFC 2577, section 3)
	ReasonLowPort           // the port is below the lowest allowed
	ReasonFamily            // address of the wrong family
	ReasonForeign           // 227 names an address that is not the backend's, the VIP's or an alias
	ReasonMalformed         // numbers out of range, port 0, 0.0.0.0, bad delimiters
	ReasonAmbiguous         // leading zeros that some read as octal
	ReasonObscured          // NUL, bare CR or Telnet bytes inside the command
	ReasonEPSVAll           // EPSV ALL was agreed before (RFC 2428, section 4)
	ReasonLongAddr          // LPRT and LPSV (RFC 1639)
	ReasonTooLong           // the line is too long
	ReasonTooSlow           // the rest of the line did not come in time
	ReasonQuota             // ErrQuota
	ReasonNoPort            // every port that was tried is busy
	ReasonOpen              // no expectation could be made
	ReasonNoFit             // our address does not fit into the announcement
	ReasonTLS               // AUTH, and the backend has no passive slice
	ReasonUnsynced          // may be the rest of a line whose start nobody read

	NumReasons // how many there are
)

var reasonNames = [NumReasons]string{
	"none", "third_party", "low_port", "family", "foreign_address", "malformed", "ambiguous", "obscured",
	"epsv_all", "long_address", "too_long", "too_slow", "quota", "no_port", "open",
	"no_fit", "tls_without_slice", "unsynced",
}

// String returns a name that suits a log key or a metric label.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown"
}

// Event is something worth counting or logging. Only the fields that belong to its kind are set.
type Event struct {
	Kind    Kind
	Reason  Reason
	Command Command
	Verb    Verb // EventCommand
	Dir     Direction
	Named   netip.AddrPort // what the announcement named
	Ours    netip.Addr     // EventNoFit: what was to stand there
	Data    DataConn       // EventExpected, EventOpenFailed
	Err     error          // from the Opener
}
