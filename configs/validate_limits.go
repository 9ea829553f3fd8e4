package configs

// rawLimits is what bounds the connections of a VIP.
type rawLimits struct {
	pos
	perClient    field[int]
	newPerSecond field[int]
	burst        field[int]
	perBackend   field[int]
}

var (
	limitKeys   = []string{"connections_per_client", "new_per_second_per_client", "burst", "connections_per_backend"}
	limitBounds = bounds{0, 1000000}
)

func (d *decoder) limits(o object) rawLimits {
	return rawLimits{
		pos:          o.pos,
		perClient:    d.number(o, "connections_per_client", limitBounds),
		newPerSecond: d.number(o, "new_per_second_per_client", limitBounds),
		burst:        d.number(o, "burst", limitBounds),
		perBackend:   d.number(o, "connections_per_backend", limitBounds),
	}
}

func (c *checker) limits(raw rawLimits) Limits {
	l := Limits{
		PerClient:    raw.perClient.val,
		NewPerSecond: raw.newPerSecond.val,
		Burst:        or(raw.burst, raw.newPerSecond.val),
		PerBackend:   raw.perBackend.val,
	}
	if l.Burst == 0 {
		l.Burst = l.NewPerSecond
	}
	if l.Burst > 0 && l.NewPerSecond == 0 && raw.newPerSecond.state != bad {
		c.at(raw.burst.pos, "has no effect without new_per_second_per_client", "",
			"add new_per_second_per_client, or delete it")
	}
	return l
}
