package configs

import (
	"slices"
	"strings"
)

// list writes allowed words the way that messages and the reference file do.
func list[T ~string](words []T) string {
	s := make([]string, len(words))
	for i, w := range words {
		s[i] = string(w)
	}
	return strings.Join(s, " | ")
}

func contains(words []string, w string) bool { return slices.Contains(words, w) }

// maxGuess is the longest word that is compared; the distance takes quadratic time.
const maxGuess = 40

// Nearest returns the one of words that word is probably a slip of, or "".
func Nearest(word string, words []string) string { return nearest(word, words) }

// nearest returns the word that word is probably a slip of, or "".
func nearest(word string, words []string) string {
	if len(word) > maxGuess {
		return ""
	}
	word = strings.ReplaceAll(strings.ToLower(word), "-", "_")
	best, bestAt := "", 1+max(1, len(word)/3)
	for _, w := range words {
		if at := distance(word, strings.ReplaceAll(w, "-", "_")); at < bestAt {
			best, bestAt = w, at
		}
	}
	return best
}

// distance is, in place of a dependency for one function, the number of bytes to insert, delete, change or swap with a neighbour to make b out of a.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			rows[i][j] = min(change, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
