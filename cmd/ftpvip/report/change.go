package report

import (
	"fmt"
	"io"
	"time"

	"ftpvip/configs"
	"ftpvip/configs/inforce"
	"ftpvip/configs/terminal"
	"ftpvip/rules"
)

// Applied is the document of `ftpvip apply -o json`.
type Applied struct {
	Changed         bool      `json:"changed"`
	Changes         []string  `json:"changes"`
	ConfirmUntil    time.Time `json:"confirm_until,omitzero"`
	ElementsAdded   int       `json:"elements_added"`
	ElementsDeleted int       `json:"elements_deleted"`
	ElementsOnly    bool      `json:"elements_only"`
	NetlinkBytes    int       `json:"netlink_bytes"` // to nf_tables

	what      string // in a few words, what became of the table
	addresses string
}

// NewApplied says what an apply did: to the table, and to the addresses that are bound.
func NewApplied(table *rules.Plan, addresses string, netlinkBytes int) *Applied {
	deleted, added := table.Elements()
	d := &Applied{
		Changed: !table.Empty() || addresses != "", Changes: Lines(addresses + table.Text()),
		ElementsOnly: !table.Empty() && table.ElementsOnly() && addresses == "", ElementsDeleted: deleted, ElementsAdded: added,
		NetlinkBytes: netlinkBytes, what: "nothing changed", addresses: addresses,
	}
	switch {
	case table.Has(rules.Delete, rules.KindTable):
		d.what = fmt.Sprintf("made anew, %d elements", added)
	case table.Has(rules.Add, rules.KindTable):
		d.what = fmt.Sprintf("created, %d elements", added)
	case !table.Empty() && table.ElementsOnly():
		d.what = fmt.Sprintf("changed: %d elements deleted, %d added", deleted, added)
	case !table.Empty():
		d.what = fmt.Sprintf("changed: %d elements deleted, %d added, and more than elements", deleted, added)
	}
	return d
}

// WriteText writes it for a terminal.
func (d *Applied) WriteText(w io.Writer, cfg *configs.Config) error {
	return Write(w, "table inet %s: %s (VIPs %d, pools %d)\n%s", rules.TableName, d.what, len(cfg.VIPs), len(cfg.Pools), d.addresses)
}

// Changes is the document of `ftpvip diff -o json`.
type Changes struct {
	Changed bool     `json:"changed"`
	Changes []string `json:"changes"`
}

// RolledBack is the document of `ftpvip rollback -o json`.
type RolledBack struct {
	Changed bool     `json:"changed"`
	Changes []string `json:"changes"`
	DryRun  bool     `json:"dry_run"`

	To      *inforce.Applied `json:"-"` // nil: no table
	Deleted int              `json:"-"` // elements
	Added   int              `json:"-"`
}

// String says it in a line.
func (d *RolledBack) String() string {
	if d.To == nil {
		return fmt.Sprintf("rolled back: table inet %s was not there before, and is removed", rules.TableName)
	}
	return fmt.Sprintf("rolled back to the configuration of %s: %d elements deleted, %d added; it stays in force until the next "+
		"`ftpvip apply`, so fix %s first", d.To.At.Format(time.RFC3339), d.Deleted, d.Added, terminal.Line(d.To.File))
}

// WriteText writes it for a terminal: of a dry run, what would change.
func (d *RolledBack) WriteText(w io.Writer) error {
	if !d.DryRun {
		return Write(w, "%s\n", d)
	}
	for _, line := range d.Changes {
		if err := Write(w, "%s\n", line); err != nil {
			return err
		}
	}
	return nil
}

// Flushed says what a flush removed.
type Flushed struct {
	Table     bool   // there was one
	Addresses string // a line for each that is bound no more
}

// WriteText writes it for a terminal.
func (d Flushed) WriteText(w io.Writer) error {
	what := "removed"
	if !d.Table {
		what = "was not there"
	}
	return Write(w, "table inet %s: %s\n%s", rules.TableName, what, d.Addresses)
}
