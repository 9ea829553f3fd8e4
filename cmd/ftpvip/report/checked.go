package report

import (
	"io"

	"ftpvip/configs"
	"ftpvip/configs/servers"
)

// Checked is the document of `ftpvip check -o json`.
type Checked struct {
	Backends int            `json:"backends"`
	File     string         `json:"file"`
	Passive  servers.Advice `json:"passive"`
	Pools    int            `json:"pools"`
	Valid    bool           `json:"valid"` // always: of an invalid file there is an error, and no document
	VIPs     int            `json:"vips"`
}

// NewChecked is that of a valid file.
func NewChecked(file string, cfg *configs.Config, advice servers.Advice) *Checked {
	d := &Checked{File: file, Valid: true, Passive: advice, VIPs: len(cfg.VIPs), Pools: len(cfg.Pools)}
	for i := range cfg.Pools {
		d.Backends += len(cfg.Pools[i].Backends)
	}
	return d
}

// WriteText writes it for a terminal.
func (d *Checked) WriteText(w io.Writer) error {
	return Write(w, "%s is valid: VIPs %d, pools %d, backends %d\n", d.File, d.VIPs, d.Pools, d.Backends)
}

// Version is the document of `ftpvip version -o json`.
type Version struct {
	Go      string `json:"go"`
	Version string `json:"version"`
}
