package ftp

import "time"

// dice makes the choices of one dialogue: first those that its bytes give, then those of its number (splitmix64).
type dice struct {
	state uint64
	bytes []byte
}

func (d *dice) next() uint64 {
	if len(d.bytes) > 0 {
		n := min(len(d.bytes), 2)
		v := uint64(d.bytes[0])
		if n == 2 {
			v |= uint64(d.bytes[1]) << 8
		}
		d.bytes = d.bytes[n:]
		return v
	}
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// n is a number from 0 to n-1.
func (d *dice) n(n int) int { return int(d.next() % uint64(n)) }

// within is a number from lo to hi, both included.
func (d *dice) within(lo, hi int) int { return lo + d.n(hi-lo+1) }

// chance is true in so many of a hundred cases.
func (d *dice) chance(percent int) bool { return d.n(100) < percent }

// ms is a time from lo to hi milliseconds.
func (d *dice) ms(lo, hi int) time.Duration {
	return time.Duration(d.within(lo, hi)) * time.Millisecond
}

func pick[T any](d *dice, from ...T) T { return from[d.n(len(from))] }

// randomCase spells a verb in upper, lower or mixed case.
func (d *dice) randomCase(s string) string {
	switch d.n(8) {
	case 0:
		b := []byte(s)
		for i := range b {
			b[i] |= 0x20
		}
		return string(b)
	case 1:
		b := []byte(s)
		for i := range b {
			if d.chance(50) {
				b[i] |= 0x20
			}
		}
		return string(b)
	}
	return s
}
