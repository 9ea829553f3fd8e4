// Package judge turns the results of health checks into states and events of backends. It also knows when a backend is
// to be checked next, and how much of its weight it has in slow start.
//
//	result.go            what one check found; several addresses made one
//	state.go, judge.go   what is remembered of a backend, and what a result makes of it
//	settle.go            the results of a round
//	event.go             changes, for the history and notify commands
//	ramp.go, schedule.go  slow start; intervals
//
// The package is pure: it does no I/O and its callers give it the time.
package judge
