// Package journal keeps the account of one control connection: which data connections were announced, which of
// them came, what they carried, and why the others failed, in words that an admin can act on.
//
// It is told what happened: announcements by the FTP engine, openings and endings by conntrack's events. It has no
// clock, does no I/O and is used by one goroutine at a time.
//
// Bytes are conntrack's, so they count IP and TCP headers too. A transfer's bytes are those of the side that sent
// the file or the listing.
package journal

import (
	"time"

	"ftpvip/helper/ftp"
)

const (
	// Patience is how long after its announcement a data connection counts as failed.
	Patience = 10 * time.Second
	// Doubt is the same where the session ends or announces another one meanwhile: who gives up so soon has not
	// waited for anything.
	Doubt = 2 * time.Second
)

// Mode is who opens the data connection.
type Mode uint8

// The modes.
const (
	Passive Mode = iota // the client
	Active              // the backend

	NumModes
)

// String returns "passive" or "active".
func (m Mode) String() string {
	if m == Active {
		return "active"
	}
	return "passive"
}

// Direction is where the data goes.
type Direction uint8

// The directions.
const (
	Unknown  Direction = iota // neither a command nor the counters tell
	Download                  // RETR
	Upload                    // STOR, STOU, APPE
	Listing                   // LIST, NLST, MLSD

	NumDirections
)

var directionNames = [NumDirections]string{"unknown", "download", "upload", "listing"}

// String returns a name that suits a log key or a metric label.
func (d Direction) String() string {
	if d < NumDirections {
		return directionNames[d]
	}
	return directionNames[Unknown]
}

// directions has the verbs that move data.
var directions = map[ftp.Verb]Direction{
	ftp.VerbOf("RETR"): Download,
	ftp.VerbOf("STOR"): Upload, ftp.VerbOf("STOU"): Upload, ftp.VerbOf("APPE"): Upload,
	ftp.VerbOf("LIST"): Listing, ftp.VerbOf("NLST"): Listing, ftp.VerbOf("MLSD"): Listing,
}

// DirectionOf is where the data goes that a verb asks for.
func DirectionOf(v ftp.Verb) Direction { return directions[v] }

// Sum is what transfers of one mode and direction add up to.
type Sum struct {
	Count     uint32
	Uncounted uint32 // how many of them no counters are known of
	Bytes     uint64
}
