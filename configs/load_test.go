package configs

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestReference(t *testing.T) {
	got, err := Parse("ftpvip.yaml", Reference(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		VIPs: []VIP{{
			Name: "ftp", Addrs: addrsOf("192.0.2.10", "2001:db8::10"), Port: 21, Application: FTPControl,
			Advertise: netip.MustParseAddr("203.0.113.10"), OnHelperDown: Hold,
			FXP: FXPRefuse, PortsMin: 1024, DataSource: SourceStrict,
		}},
		Pools: []Pool{{
			Name: "farm", Scheduler: SourceHash, SNAT: SNAT{Mode: SNATNone},
			MinMembers: 1,
			Backends: []Backend{
				{Name: "ftp1", Addrs: addrsOf("10.2.0.11", "fd00::11"), Port: 21, Weight: 10, Tier: 1,
					PassivePorts: PortRange{50000, 50999}},
				{Name: "ftp2", Addrs: addrsOf("10.2.0.12", "fd00::12"), Port: 21, Weight: 10, Tier: 1,
					PassivePorts: PortRange{51000, 51999}},
			},
			Health: withFallback(defaultHealth(CheckFTPBanner)),
		}, {
			Name: "sorry", Scheduler: SourceHash, SNAT: SNAT{Mode: SNATNone}, MinMembers: 1,
			Backends: []Backend{{Name: "spare", Addrs: addrsOf("10.2.0.21", "fd00::21"), Port: 21, Weight: 10, Tier: 1}},
			Health:   defaultHealth(CheckFTPBanner),
		}},
		Helper: Helper{Queues: 2, FirstQueue: 2100, Carrier: CarrierAuto, MaxDataPerClient: 256, MaxData: 16384},
	}
	ftp, farm, sorry := &want.VIPs[0], &want.Pools[0], &want.Pools[1]
	ftp.Pool, farm.Fallback, farm.SourceGroup, sorry.SourceGroup = farm, sorry, ftp, ftp
	farm.VIPs, sorry.VIPs = []*VIP{ftp}, []*VIP{ftp}
	if diff := diffConfig(want, got); diff != "" {
		t.Errorf("the reference file (-want +got):\n%s", diff)
	}
}

// TestReferenceKeys keeps the reference file complete.
func TestReferenceKeys(t *testing.T) {
	c := &checker{input: &input{report: &report{}}, cfg: &Config{}}
	for _, read := range []func(*section){
		c.file, c.helper,
		func(s *section) { c.vip(s) }, func(s *section) { c.limits(s) },
		func(s *section) { c.pool(s) }, func(s *section) { c.backend(s) },
		func(s *section) { c.health(s) }, func(s *section) { c.tls(s) }, func(s *section) { c.flap(s) },
	} {
		s := newSection(c.input, nil, pos{})
		read(s)
		for _, key := range s.asked {
			if !strings.Contains(string(Reference()), key+":") {
				t.Errorf("the reference file does not show the key %s", key)
			}
		}
	}
}

// TestReferenceIsACopy: a caller that changes what it got must not change what the next one gets.
func TestReferenceIsACopy(t *testing.T) {
	Reference()[0] = 'x'
	if Reference()[0] == 'x' {
		t.Error("Reference hands out the embedded bytes themselves")
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.yaml")
	if err := os.WriteFile(good, Reference(), 0o600); err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, []byte(strings.Repeat("# \n", MaxSize/3+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path string
		is         error
		says       string
	}{
		{name: "OK", path: good},
		{name: "bad: missing", path: filepath.Join(dir, "none.yaml"), is: fs.ErrNotExist,
			says: "none.yaml: no such file; remedy: write it (its keys are explained in the reference file " +
				"ftpvip.yaml), or name another with --config FILE"},
		{name: "bad: directory", path: dir,
			says: ": cannot be read: is a directory; remedy: check the path given with --config"},
		{name: "bad: too big", path: big,
			says: "big.yaml: the file is bigger than 8 MiB; allowed: at most 8388608 bytes; remedy: check that " +
				"--config names the configuration and not something else"},
		{name: "bad: endless", path: "/dev/zero", says: "/dev/zero: the file is bigger than 8 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := Load(tt.path, nil)
			if tt.says == "" {
				if err != nil || cfg == nil {
					t.Fatalf("Load: %v, %v", cfg, err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || cfg != nil {
				t.Fatalf("Load: %v, %T %v, want a *Error", cfg, err, err)
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got  %s\nwant %s", err, tt.says)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is not %v", err, tt.is)
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	err := unreadable("f.yaml", &fs.PathError{Op: "open", Path: "f.yaml", Err: fs.ErrPermission})
	want := "f.yaml: no permission to read it; remedy: run as root, or see who may read it with: ls -l f.yaml"
	if err.Error() != want || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func addrsOf(v4, v6 string) Addrs {
	var as Addrs
	if v4 != "" {
		as.V4 = netip.MustParseAddr(v4)
	}
	if v6 != "" {
		as.V6 = netip.MustParseAddr(v6)
	}
	return as
}

func diffConfig(want, got *Config) string {
	return cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}), cmpopts.EquateEmpty())
}

// defaultHealth is a health section without keys.
func defaultHealth(check Check) Health {
	return Health{
		Check: check, Timeout: 3 * time.Second, Rise: 2, Fall: 3, Interval: 5 * time.Second, IntervalDown: 5 * time.Second,
		Jitter: 10, Through: ThroughBackend, User: "anonymous", Password: "ftpvip@",
		TLS: TLS{Mode: TLSNone, MinVersion: "1.2"}, Modes: []DataMode{ModePASV, ModeEPSV}, OnAllDown: AllDownEmpty, OnDown: DownKeep,
		Restore: true,
	}
}

func withFallback(h Health) Health {
	h.OnAllDown = AllDownFallback
	return h
}
