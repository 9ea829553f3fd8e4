package track

import (
	"slices"
	"sync"

	"github.com/ti-mo/conntrack"
)

// Zone is a conntrack zone that rules assign, such as for VRFs or several uplinks. The zero value is the one that connections are in
// without such a rule.
type Zone struct {
	ID   uint16
	Orig bool // of the original direction alone: `ct original zone`
}

// maxZones is how many zones are looked into.
const maxZones = 64

// ZoneOf is the zone of a conntrack entry.
func ZoneOf(f *conntrack.Flow) Zone {
	if f.Zone == 0 && f.TupleOrig.Zone != 0 {
		return Zone{f.TupleOrig.Zone, true}
	}
	return Zone{ID: f.Zone}
}

// In puts a question about a conntrack entry, or a change of one, into a zone.
func (z Zone) In(f conntrack.Flow) conntrack.Flow {
	if z.Orig {
		f.TupleOrig.Zone = z.ID
		return f
	}
	f.Zone = z.ID
	return f
}

// Zones are those in which control connections were seen.
type Zones struct {
	mu   sync.Mutex
	list []Zone
}

// Add adds a zone.
func (z *Zones) Add(zone Zone) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if zone != (Zone{}) && len(z.list) < maxZones && !slices.Contains(z.list, zone) {
		z.list = append(slices.Clone(z.list), zone)
	}
}

// all lists them; it is not to be changed.
func (z *Zones) all() []Zone {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.list
}
