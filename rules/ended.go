package rules

// Sessions that an admin ends get a reset at both ends (helper/reset). A label marks their connections, and the next
// packet of either end is answered with a reset in place of the other end. An end that says nothing is provoked by a
// packet of ours, which must look as if it came from the other end. So connection tracking must not see that one: it
// is told from all others by its priority.

// EndedLabel is the bit of the conntrack labels that marks connections whose packets are answered with a reset.
const EndedLabel = 116

// ProvokingPriority is the priority (SO_PRIORITY) of packets that connection tracking must not see.
const ProvokingPriority = 0x66747076

// priorityRaw is before connection tracking.
const priorityRaw = -300

type (
	// MatchEnded matches connections with EndedLabel.
	MatchEnded struct{}
	// MatchProvoking matches packets with ProvokingPriority.
	MatchProvoking struct{}
	// NoTrack hides a packet from connection tracking.
	NoTrack struct{}
)

// resetEnded is the rule of a chain that each packet passes which is forwarded, comes in, or goes out. Resets go their
// way: ours belong to the marked connections too.
func resetEnded() []Rule {
	return []Rule{rule(MatchTCP{}, MatchEnded{}, MatchFlags{Flags: RST, None: true}, RejectReset{})}
}

// hideProvoking hides provoking packets, which this host itself sends, from connection tracking.
func hideProvoking() []Rule { return []Rule{rule(MatchProvoking{}, NoTrack{})} }
