package golden

import (
	"slices"
	"strings"
)

// sorted trims and sorts a list.
func sorted(list []string) []string {
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	slices.Sort(list)
	return list
}
