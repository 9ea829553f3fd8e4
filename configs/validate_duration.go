package configs

import "time"

// span is what a key with a duration allows.
type span struct {
	least, most, byDefault time.Duration
	zero, whole            bool // 0s is allowed as well; seconds must be whole
	want                   string
	form, short, long      string // remedies
}

var (
	timeoutSpan = span{
		least: minTimeout, most: maxTimeout, byDefault: defaultTimeout, want: wantTimeout,
		form:  "write a number with its unit, such as 3s or 500ms",
		short: "give a server time to answer; 3s suits most",
		long:  "a dead server should not hold up the round; 3s suits most",
	}
	slowStartSpan = span{
		least: time.Second, most: time.Hour, zero: true, want: wantSlowStart,
		form:  "write a number with its unit, such as 60s",
		short: "use 1s or more, or delete the key",
		long:  "a server should have its share within the hour; 60s suits most",
	}
	affinitySpan = span{
		least: time.Second, most: 720 * time.Hour, zero: true, whole: true, want: wantAffinity,
		form:  "write a number with its unit, such as 1h",
		short: "use 1s or more, or delete the key",
		long:  "use 720h or less; each new connection of a client begins the time anew",
	}
)

// withUnit is the remedy for a number that has no unit: the unit that makes it an allowed one.
func (s span) withUnit(number string) string {
	for _, unit := range []struct{ short, text string }{{"s", "s for seconds, or use ms or m"}, {"ms", "ms for milliseconds"}} {
		d, err := time.ParseDuration(number + unit.short)
		if err == nil && d >= s.least && d <= s.most && (!s.whole || d%time.Second == 0) {
			return "write " + shortened(number) + unit.text
		}
	}
	return s.form
}

// duration checks a duration against what its key allows.
func (c *checker) duration(f field[string], s span) time.Duration {
	if f.state != given {
		return s.byDefault
	}
	d, err := time.ParseDuration(f.val)
	switch {
	case err != nil:
		c.at(f.pos, "is not a duration", s.want, s.form)
	case d == 0 && s.zero:
		return 0
	case d < s.least:
		c.at(f.pos, "is too short", s.want, s.short)
	case d > s.most:
		c.at(f.pos, "is too long", s.want, s.long)
	case s.whole && d%time.Second != 0:
		c.at(f.pos, "has a fraction of a second", s.want, "write whole seconds")
	default:
		return d
	}
	return s.byDefault
}
