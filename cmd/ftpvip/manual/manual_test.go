package manual

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"ftpvip/configs"
)

func TestSections(t *testing.T) {
	got := Sections(`# The heading of the file.

# What farms are. Required;
# all of them.
farms:
  - name: a                 # required
    size: 3                 # how large:
                            #   in acres
                            # or otherwise
    owner:
      # who it is
      first: "J # R"        # given name
    bare: 1
  - name: b                 # never shown
    late: 2                 # only here

tools: []                   #
`)
	want := []Section{
		{Name: "farms", Text: []string{"What farms are. Required;", "all of them."}, Keys: []Key{
			{"farms[].name", "a", []string{"required"}},
			{"farms[].size", "3", []string{"how large:", "\tin acres", "or otherwise"}},
			{"farms[].owner", "", []string{"who it is"}},
			{"farms[].owner.first", `"J # R"`, []string{"given name"}},
			{"farms[].bare", "1", nil},
			{"farms[].late", "2", []string{"only here"}},
		}},
		{Name: "tools"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sections (-want +got):\n%s", diff)
	}
}

// TestReference wants each key of the reference file explained, in the file and so in the page.
func TestReference(t *testing.T) {
	page, err := Config(string(configs.Reference()), "1.0")
	if err != nil {
		t.Fatal(err)
	}
	keys := 0
	for _, s := range Sections(string(configs.Reference())) {
		if len(s.Text) == 0 {
			t.Errorf("section %s is not explained", s.Name)
		}
		for i, k := range s.Keys {
			keys++
			// A key that only holds others may leave the explanation to them.
			holder := k.Example == "" && i+1 < len(s.Keys) && strings.HasPrefix(s.Keys[i+1].Path, k.Path)
			if len(k.Text) == 0 && !holder {
				t.Errorf("%s is not explained", k.Path)
			}
			if len(k.Text) > 0 && !strings.Contains(page, `\fB`+escape(k.Path)+`:\fR`) {
				t.Errorf("%s is not in the page", k.Path)
			}
		}
	}
	if keys < 25 {
		t.Errorf("only %d keys", keys)
	}
	checkRoff(t, page)
}

func TestCommands(t *testing.T) {
	root := &cobra.Command{Use: "ftpvip", Short: "A farm"}
	root.PersistentFlags().StringP("config", "c", "/etc/x", "the `file` to read")
	nothing := func(*cobra.Command, []string) {}
	move := &cobra.Command{Use: "move FROM TO", Short: "Move", Long: "Moves things.\n\n.hidden line's end", Run: nothing}
	move.Flags().Bool("force", false, "really")
	parent := &cobra.Command{Use: "group", Short: "no command by itself"}
	parent.AddCommand(&cobra.Command{Use: "leaf", Short: "A leaf", Run: nothing})
	root.AddCommand(move, parent, &cobra.Command{Use: "secret", Hidden: true, Run: nothing})

	page, err := Commands(root, "1.0-rc1")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"ftpvip 1.0\-rc1"`,
		".TP\n.B ftpvip move FROM TO\nMoves things.\n.IP\n\\&.hidden line\\(aqs end.\n.RS\n.TP\n.B \\-\\-force\nreally.\n.RE\n",
		".TP\n.B ftpvip group leaf\nA leaf.\n",
		".TP\n.B \\-c, \\-\\-config file\nthe file to read. Default: /etc/x.\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, unwanted := range []string{"secret", "no command by itself"} {
		if strings.Contains(page, unwanted) {
			t.Errorf("the page has %q", unwanted)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
	checkRoff(t, page)
}

// checkRoff looks for what roff would take for something else than it is meant to be.
func checkRoff(t *testing.T, page string) {
	t.Helper()
	for i, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, "'") || (strings.HasPrefix(line, ".") && (len(line) < 3 || line[1] < 'A' || line[1] > 'z')) {
			t.Errorf("line %d is a request by accident: %q", i+1, line)
		}
	}
}
