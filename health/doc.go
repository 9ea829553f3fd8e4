// Package health finds out which backends can serve, and remembers it between runs: it has them looked at
// (health/probe), the results judged (health/judge), and what follows written down and told.
//
//	round.go, plan.go, watch.go     all backends once, or each at its interval
//	found.go, settle.go             what was found, and what is made of it (pure)
//	state.go, codec.go, history.go  what is kept between rounds
//	notify.go                       the admin's commands
//	report.go, text.go, textfile.go what a round found, for people and programs
//
// The package logs nothing and takes no lock. A run is Load, Look, Settle, Save, with the state directory's lock of rounds
// held by the caller, who then gives File.Down to the rules.
package health
