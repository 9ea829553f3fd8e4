package health

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpvip/configs"
	"ftpvip/health/judge"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sampleReport() Report {
	return Report{
		Time: t0, DurationMS: 3001.25,
		Pools: []PoolReport{
			{
				Name: "farm", Check: configs.CheckFTPBanner, TimeoutMS: 3000, Rise: 2, Fall: 3, Members: 2, Memberless: []int{6},
				Backends: []BackendReport{
					{
						Name: "ftp1", Status: judge.Up, Member: true, Since: t0.Add(-26 * time.Hour), Outcome: judge.Outcome{OK: true, LatencyMS: 1.234},
						Addresses: []AddressReport{{ap("10.2.0.11:21"), judge.Outcome{OK: true, LatencyMS: 1.234}}},
					},
					{
						Name: "ftp2", Status: judge.Up, Member: true, Since: t0.Add(-200 * time.Second), Fall: 1,
						Outcome:   judge.Outcome{Step: judge.StepBanner, Reason: `10.2.0.12:21: the server takes no sessions now: it says 421 "full"`, LatencyMS: 2},
						Addresses: []AddressReport{{ap("10.2.0.12:21"), judge.Outcome{Step: judge.StepBanner, Reason: `the server takes no sessions now: it says 421 "full"`, LatencyMS: 2}}},
					},
					{
						Name: "ftp3", Status: judge.Down, Since: t0, Transition: judge.Transition{From: judge.Up, To: judge.Down},
						Outcome: judge.Outcome{Step: judge.StepConnect, Reason: "[fd00::13]:21: no answer within 3s: the host is down, or a firewall drops the packets", LatencyMS: 3000},
						Addresses: []AddressReport{
							{ap("10.2.0.13:21"), judge.Outcome{OK: true, LatencyMS: 0.5}},
							{ap("[fd00::13]:21"), judge.Outcome{Step: judge.StepConnect, Reason: "no answer within 3s: the host is down, or a firewall drops the packets", LatencyMS: 3000}},
						},
					},
					{Name: "ftp4", Status: judge.Down, Since: t0.Add(-90 * time.Minute), Rise: 1, Outcome: judge.Outcome{OK: true, LatencyMS: 12.5}, Addresses: []AddressReport{{ap("10.2.0.14:21"), judge.Outcome{OK: true, LatencyMS: 12.5}}}},
				},
			},
			{
				Name: "sftp", Check: configs.CheckNone, TimeoutMS: 3000, Rise: 2, Fall: 3, Members: 1,
				Backends: []BackendReport{{Name: "s1", Status: judge.Up, Member: true, Since: t0.Add(-5 * time.Second), Outcome: judge.Outcome{OK: true}}},
			},
		},
	}
}

// TestGolden compares both forms of a report, and a state file, with testdata; -update writes them again. A change of
// the state file that an older program cannot read wants a new Version.
func TestGolden(t *testing.T) {
	var text bytes.Buffer
	if err := WriteText(&text, sampleReport()); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.MarshalIndent(sampleReport(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	state, err := sampleFile().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"report.txt": text.String(), "report.json": string(asJSON) + "\n", stateFile.Name: string(state)} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

func TestWriteTextError(t *testing.T) {
	if err := WriteText(brokenWriter{}, sampleReport()); err == nil {
		t.Error("no error")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, os.ErrClosed }
