// Command graph prints which package of the program imports which: a line for each, in the order of the floors. No package
// imports one of a floor above its own.
package main

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const module = "ftpvip/"

// floors are the folders of the top level, the lowest first. The tests' folder is no part of the program.
var floors = []string{"configs", "rules", "helper", "health", "cmd"}

// exceptions are imports that no floor allows: the demo is the tests' lab as a program.
var exceptions = map[string]string{"cmd/ftpvip-demo": "tests"}

func main() {
	lines, err := graph()
	if err != nil {
		fmt.Fprintln(os.Stderr, "graph:", err)
		os.Exit(1)
	}
	for _, l := range lines {
		fmt.Println(l)
	}
}

// node is a package and what it imports of the program.
type node struct {
	path    string
	imports []string
}

func (n node) String() string {
	return strings.TrimRight(fmt.Sprintf("%-22s %s", n.path, strings.Join(n.imports, " ")), " ")
}

// floor is the number of a package's floor; -1 for none.
func floor(path string) int {
	top, _, _ := strings.Cut(path, "/")
	return slices.Index(floors, top)
}

// graph asks go list for the packages below floors. Tests' imports do not count.
func graph() ([]node, error) {
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, module+"...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var nodes []node
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		n := node{path: strings.TrimPrefix(words[0], module)}
		if floor(n.path) < 0 {
			continue
		}
		for _, w := range words[1:] {
			if p, ok := strings.CutPrefix(w, module); ok {
				n.imports = append(n.imports, p)
			}
		}
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b node) int {
		return cmp.Or(cmp.Compare(floor(a.path), floor(b.path)), cmp.Compare(a.path, b.path))
	})
	return nodes, lines.Err()
}
