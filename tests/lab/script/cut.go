package script

import (
	"strings"
	"time"
)

// Cut says how a text is sent. The zero value sends it in one segment.
type Cut struct {
	At    func(text string) []int // where it is cut, in rising order
	Pause time.Duration           // between the pieces
	Nagle bool                    // small segments wait for an acknowledgement (RFC 896), as without TCP_NODELAY
}

// EachByte sends bytes one by one.
func EachByte(pause time.Duration) Cut {
	return Cut{Pause: pause, At: func(text string) []int {
		var at []int
		for i := 1; i < len(text); i++ {
			at = append(at, i)
		}
		return at
	}}
}

// At cuts a text at a position; a negative one counts from its end.
func At(pause time.Duration, position int) Cut {
	return Cut{Pause: pause, At: func(text string) []int {
		if position < 0 {
			return []int{len(text) + position}
		}
		return []int{position}
	}}
}

// After cuts a text behind the first of each of some parts.
func After(pause time.Duration, parts ...string) Cut {
	return Cut{Pause: pause, At: func(text string) []int {
		var at []int
		for _, part := range parts {
			if i := strings.Index(text, part); i >= 0 {
				at = append(at, i+len(part))
			}
		}
		return at
	}}
}

// pieces cuts a text. What would be empty or lie outside is left out.
func (c Cut) pieces(text string) []string {
	if c.At == nil {
		return []string{text}
	}
	var list []string
	from := 0
	for _, to := range c.At(text) {
		if to > from && to < len(text) {
			list, from = append(list, text[from:to]), to
		}
	}
	return append(list, text[from:])
}
