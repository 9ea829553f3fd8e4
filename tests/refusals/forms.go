package main

import "strings"

// held is how much of a command a helper still has in its hands when it decides to refuse it.
type held string

const (
	heldWhole held = "whole command" // nothing has gone on
	heldArg   held = "argument"      // the verb has gone on
	heldPart  held = "part"          // part of the argument has gone on, too
	heldBlank held = "argument and the blank before it"
	heldEnd   held = "line end" // only the line end has not
)

// client is the address that commands name: the lab's client.
const client = "198,51,100,11"

// form is one way to spoil a command without changing its length.
type form struct {
	Held  held
	Name  string
	Lines []string // with their line ends: the form at several lengths
}

// over makes a form of several commands, each spoilt by f. What f returns has the command's length.
func over(h held, name string, commands []string, f func(verb, arg string) string) form {
	one := form{Held: h, Name: name}
	for _, c := range commands {
		verb, arg, _ := strings.Cut(c, " ")
		line := f(verb, arg)
		if len(line) != len(c) {
			panic(name + ": another length: " + line)
		}
		one.Lines = append(one.Lines, line+"\r\n")
	}
	return one
}

// fill is n bytes of pattern, over and over.
func fill(pattern string, n int) string {
	return strings.Repeat(pattern, n/len(pattern)+1)[:n]
}

// left and right pad s to n bytes; a longer one is cut.
func left(s string, n int, pad string) string {
	if len(s) >= n {
		return s[:n]
	}
	return s + strings.Repeat(pad, n-len(s))
}

func right(s string, n int, pad string) string {
	if len(s) >= n {
		return s[:n]
	}
	return strings.Repeat(pad, n-len(s)) + s
}

// zeros writes six numbers that are 0, as long as n asks for, n up to 23.
func zeros(n int) string {
	width := [6]int{1, 1, 1, 1, 1, 1}
	for i, have := 0, 11; have < n && i < 12; i, have = i+1, have+1 {
		width[i%6]++
	}
	var t []string
	for _, w := range width {
		t = append(t, strings.Repeat("0", w))
	}
	return left(strings.Join(t, ","), n, "0")
}

// beyond writes an address of zeros, as long as n asks for, and a port beyond all ports; x where there is no room.
func beyond(n int, port string) string {
	room := n - len(port) - 1
	if room < len("0,0,0,0") {
		return fill("x", n)
	}
	width := [4]int{1, 1, 1, 1}
	for i, have := 0, 7; have < room; i, have = i+1, have+1 {
		width[i%4]++
	}
	var t []string
	for _, w := range width {
		t = append(t, strings.Repeat("0", w))
	}
	return strings.Join(append(t, port), ",")
}

// commas writes x, commas and x.
func commas(n int) string {
	if n < 3 {
		return fill("x", n)
	}
	return "x" + fill(",", n-2) + "x"
}

// The commands: shortest, ordinary, longest, too long and too short.
var (
	ports = []string{
		"PORT 1,2,3,4,5,6", "PORT " + client + ",7,8", "PORT " + client + ",195,80",
		"PORT 198,051,100,011,195,080", "PORT 198,051,100,011,195,080,0000", "PORT 1,2",
	}
	eprts = []string{
		"EPRT |1|1.2.3.4|2000|", "EPRT |1|198.51.100.11|50000|", "EPRT |2|2001:db8:1::11|50000|",
		"EPRT |2|2001:0db8:0001:0000:0000:0000:0000:0011|50000|",
	}
	longs = []string{"LPRT 4,4,198,51,100,11,2,195,80"}
)

// argument keeps the verb and replaces the argument by what f makes of its length.
func argument(f func(n int) string) func(verb, arg string) string {
	return func(verb, arg string) string { return verb + " " + f(len(arg)) }
}

// tail keeps the verb and all of the argument but its last n bytes, or half of it where n is 0.
func tail(n int, f func(n int) string) func(verb, arg string) string {
	return func(verb, arg string) string {
		n := n
		if n == 0 {
			n = len(arg) / 2
		}
		return verb + " " + arg[:len(arg)-n] + f(n)
	}
}

// forms is everything that is tried.
func forms() []form {
	var all []form
	x := func(n int) string { return fill("x", n) }
	kept := map[string][]string{"PORT": ports, "EPRT": eprts, "LPRT": longs}
	for _, verb := range []string{"PORT", "EPRT", "LPRT"} {
		names := []string{"XXXX"}
		if verb == "PORT" {
			names = append(names, "XORT", "PORX", "xxxx")
		}
		for _, unknown := range names {
			all = append(all,
				over(heldWhole, unknown+", argument kept ("+verb+")", kept[verb], func(_, arg string) string { return unknown + " " + arg }),
			)
		}
		all = append(all,
			over(heldWhole, "XXXX, argument blank ("+verb+")", kept[verb], func(_, arg string) string { return "XXXX " + fill(" ", len(arg)) }),
			over(heldWhole, "XXXX, argument 0 ("+verb+")", kept[verb], func(_, arg string) string { return "XXXX " + fill("0", len(arg)) }),
			over(heldWhole, "XXXX, argument x ("+verb+")", kept[verb], func(_, arg string) string { return "XXXX " + x(len(arg)) }),
			over(heldWhole, "X to the end ("+verb+")", kept[verb], func(v, arg string) string { return fill("X", len(v)+1+len(arg)) }),
			over(heldWhole, "all blank ("+verb+")", kept[verb], func(v, arg string) string { return fill(" ", len(v)+1+len(arg)) }),
		)
	}
	all = append(all,
		over(heldBlank, "X to the end (PORT)", ports, func(v, arg string) string { return v + fill("X", 1+len(arg)) }),
		over(heldBlank, "X, argument kept (PORT)", ports, func(v, arg string) string { return v + "X" + arg }),
		over(heldBlank, "X to the end (EPRT)", eprts, func(v, arg string) string { return v + fill("X", 1+len(arg)) }),
		over(heldBlank, "X to the end (LPRT)", longs, func(v, arg string) string { return v + fill("X", 1+len(arg)) }),
		over(heldWhole, "XXXX (LPSV)", []string{"LPSV "}, func(string, string) string { return "XXXX " }),
	)
	whole := []struct {
		name string
		f    func(n int) string
	}{
		{"refusedxxx", func(n int) string { return left("refused", n, "x") }},
		{"x", x},
		{"blanks", func(n int) string { return fill(" ", n) }},
		{"0 without commas", func(n int) string { return fill("0", n) }},
		{"9 without commas", func(n int) string { return fill("9", n) }},
		{"commas", func(n int) string { return fill(",", n) }},
		{"000,000,...: six padded numbers", zeros},
		{"0,0,0,0,0,0 and blanks", func(n int) string { return left("0,0,0,0,0,0", n, " ") }},
		{"blanks and 0,0,0,0,0,0", func(n int) string { return right("0,0,0,0,0,0", n, " ") }},
		{"0,0,0,0,0,0xxx", func(n int) string { return left("0,0,0,0,0,0", n, "x") }},
		{"0,0,0,0,0,0,0...: more numbers", func(n int) string { return fill("0,", n) }},
		{"0,0,0,0,0,000256", func(n int) string { return left("0,0,0,0,0,", n-3, "0") + "256" }},
		{"999,999,...", func(n int) string { return fill("999,", n) }},
		{"0,0,0,0,999,999", func(n int) string { return beyond(n, "999,999") }},
		{"0,0,0,0,256,0", func(n int) string { return beyond(n, "256,0") }},
		{"x,,,,,x", commas},
		{"0,,,,,0", func(n int) string { return "0" + fill(",", n-2) + "0" }},
		{"0,0,0,0,0xxx,x", func(n int) string { return left("0,0,0,0,0", n-2, "x") + ",x" }},
		{"0,0,0,0xxx,x,x", func(n int) string { return left("0,0,0,0", n-4, "x") + ",x,x" }},
		{"255,255,...", func(n int) string { return fill("255,", n) }},
	}
	longer := []string{}
	for _, c := range ports {
		if len(c) >= len("PORT 1,2,3,4,5,6") {
			longer = append(longer, c)
		}
	}
	for _, w := range whole {
		all = append(all, over(heldArg, w.name+" (PORT)", longer, argument(w.f)))
	}
	for _, w := range []struct {
		name string
		f    func(n int) string
	}{
		{"x", x},
		{"refusedxxx", func(n int) string { return left("refused", n, "x") }},
		{"blanks", func(n int) string { return fill(" ", n) }},
		{"bars", func(n int) string { return fill("|", n) }},
		{"9", func(n int) string { return fill("9", n) }},
		{"|1|0.0.0.0|0000|", func(n int) string { return "|1|0.0.0.0|" + fill("0", n-12) + "|" }},
		{"|1|999.999.999|...|", func(n int) string { return "|1|" + fill("999.", n-6) + "|9|" }},
		{"|9|xxx|x|", func(n int) string { return "|9|" + x(n-6) + "|9|" }},
		{"|9|1.1.1.1111|2000|", func(n int) string { return "|9|" + left("1.1.1.1", n-9, "1") + "|2000|" }},
		{"|1|xxx|0|", func(n int) string { return "|1|" + x(n-6) + "|0|" }},
	} {
		all = append(all, over(heldArg, w.name+" (EPRT)", eprts, argument(w.f)))
	}
	for _, w := range []struct {
		name string
		f    func(n int) string
	}{{"x", x}, {"x,,,,,x", commas}, {"commas", func(n int) string { return fill(",", n) }}} {
		all = append(all, over(heldArg, w.name+" (LPRT)", longs, argument(w.f)))
	}
	for _, n := range []int{0, 6, 3, 2, 1} {
		at := map[int]string{0: "half", 6: "six bytes", 3: "three bytes", 2: "two bytes", 1: "one byte"}[n] + " left: "
		all = append(all,
			over(heldPart, at+"'x,,,,x' (PORT)", ports[2:4], tail(n, commas)),
			over(heldPart, at+"'x,,,,x' (LPRT)", longs, tail(n, commas)))
		for _, pad := range []string{"x", "0", "9", ",", " ", ",x", "x,"} {
			all = append(all, over(heldPart, at+quoted(pad)+" (PORT)", ports[2:4], tail(n, func(n int) string { return fill(pad, n) })))
		}
		for _, pad := range []string{"x", "0", "9", "|", " "} {
			all = append(all, over(heldPart, at+quoted(pad)+" (EPRT)", eprts, tail(n, func(n int) string { return fill(pad, n) })))
		}
		all = append(all, over(heldPart, at+quoted("x")+" (LPRT)", longs, tail(n, x)))
	}
	for _, end := range []string{"\n", "x\n", " \n", ",\n", "0\n", "9\n", "|\n"} {
		for _, c := range []string{"PORT 1,2,3,4,5", "PORT " + client + ",195,80", "EPRT |1|198.51.100.11|50000|", "EPRT |1|198.51.100.11|50000"} {
			all = append(all, form{Held: heldEnd, Name: strings.Trim(quoted(end), "'") + " after `" + c + "`", Lines: []string{c + end}})
		}
	}
	return all
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "\n", `\n`) + "'" }
