// Package health finds out which backends can serve: it probes them, judges the results over several rounds
// and remembers the judgement between runs.
//
//	probe.go, tcp.go, banner.go, login.go, transfer.go, exec.go   one look at one address
//	session.go, tls.go, data.go, reply.go, passive.go, reason.go  FTP as a client speaks it
//	through.go                                                    the way by a VIP
//	judge.go, settle.go, event.go                                 results to states and events (pure)
//	round.go, plan.go, watch.go, schedule.go                      all backends once, or each at its interval
//	state.go, codec.go, history.go                                what is kept between rounds
//	notify.go                                                     the admin's commands
//	report.go, text.go, textfile.go                               what a round found, for people and programs
//
// The package logs nothing and takes no lock. A run is Load, Look, Settle, Save, with the state directory's lock of rounds
// held by the caller, who then gives File.Down to the rules.
package health
