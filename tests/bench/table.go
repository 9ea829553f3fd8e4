package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// writeTable aligns cells: the first column to the left, the others to the right.
func writeTable(w io.Writer, rows [][]string) error {
	var width []int
	for _, row := range rows {
		for i, text := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(text))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, text := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(text))
			switch i {
			case 0:
				line.WriteString(text + pad)
			default:
				line.WriteString("  " + pad + text)
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// number writes a value with thousands apart: 12,345.6.
func number(v float64, digits int) string {
	text := strconv.FormatFloat(v, 'f', digits, 64)
	whole, fraction, _ := strings.Cut(text, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	return sign + whole
}

// rows lays the board out: a line for each figure, a column for each contestant, and ftpvip's ratio to each other.
func (b *board) rows() [][]string {
	head := []string{"", "unit"}
	var others []*contestant
	for _, c := range b.contestants {
		head = append(head, c.Title)
		if c.Key != ftpvipKey && c.Skipped == "" {
			others = append(others, c)
		}
	}
	for _, c := range others {
		head = append(head, "ftpvip / "+c.Title)
	}
	rows := [][]string{head}
	for _, f := range b.figures {
		row := []string{f.title, f.unit}
		for _, c := range b.contestants {
			row = append(row, b.text(f, c))
		}
		for _, c := range others {
			text := "-"
			if r, ok := b.ratio(f, c.Key); ok {
				text = number(r, 2)
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	return rows
}

// text is one value; "failed" is explained below the table, "-" was not measured.
func (b *board) text(f figure, c *contestant) string {
	if v, ok := b.value(f, c.Key); ok {
		return number(v, f.digits)
	}
	if b.failed[cell{f.key, c.Key}] != nil {
		return "failed"
	}
	return "-"
}
