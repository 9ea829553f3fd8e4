// Package health finds out which backends can serve: it probes them, judges the results over several rounds
// and remembers the judgement between runs.
//
//	probe.go, tcp.go, banner.go, reply.go, reason.go   one look at one address
//	judge.go                                           hysteresis: results to a state (pure)
//	round.go, plan.go                                  all backends of a configuration, once, concurrently
//	state.go, codec.go                                 the state file between rounds
//	report.go, text.go                                 what a round found, as JSON and as a table
//
// The package logs nothing, takes no lock and knows nothing of the kernel. A run is Load, Round, Save, with the
// state directory's lock held around the three by the caller, who then gives File.Down to the rules.
package health
