package configs

var limitBounds = bounds{0, 1000000}

// limits is what bounds the connections of a VIP.
func (c *checker) limits(s *section) Limits {
	var l Limits
	l.PerClient = s.number("connections_per_client", limitBounds).val
	rate := s.number("new_per_second_per_client", limitBounds)
	l.NewPerSecond = rate.val
	burst := s.number("burst", limitBounds)
	l.Burst = or(burst, rate.val)
	l.PerBackend = s.number("connections_per_backend", limitBounds).val
	if l.Burst == 0 {
		l.Burst = l.NewPerSecond
	}
	if l.Burst > 0 && l.NewPerSecond == 0 && rate.state != bad {
		c.at(burst.pos, "has no effect without new_per_second_per_client", "",
			"add new_per_second_per_client, or delete it")
	}
	return l
}
