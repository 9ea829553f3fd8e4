package configs

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

func TestOverride(t *testing.T) {
	const file = "vips: []\nhelper:\n  queues: 8\n  carrier: cthelper\n"
	fromFile := helperOf(8, 2100, CarrierCTHelper)
	tests := []struct {
		name string
		text string
		env  map[string]string
		args []string
		want Helper
		err  string
	}{
		{name: "OK nothing set", want: fromFile},
		{name: "OK environment", env: map[string]string{"FTPVIP_HELPER_QUEUES": "4", "FTPVIP_HELPER_CARRIER": "sane"},
			want: helperOf(4, 2100, CarrierSane)},
		{name: "OK environment, key not in the file", env: map[string]string{"FTPVIP_HELPER_FIRST_QUEUE": "0"},
			want: helperOf(8, 0, CarrierCTHelper)},
		{name: "OK environment, no helper in the file", text: "vips: []\n",
			env: map[string]string{"FTPVIP_HELPER_QUEUES": "3"}, want: helperOf(3, 2100, CarrierAuto)},
		{name: "OK environment says what the file says", env: map[string]string{"FTPVIP_HELPER_QUEUES": "8"},
			want: fromFile},
		{name: "OK empty variable is no variable", env: map[string]string{"FTPVIP_HELPER_QUEUES": ""}, want: fromFile},
		{name: "OK variables that are no keys", env: map[string]string{"FTPVIP_STRICT": "1", "FTPVIP_CONFIG": "x"},
			want: fromFile},
		{name: "OK flag before environment", args: []string{"--queues=5"},
			env: map[string]string{"FTPVIP_HELPER_QUEUES": "4"}, want: helperOf(5, 2100, CarrierCTHelper)},
		{name: "OK flag not given", args: []string{}, want: fromFile},
		{name: "OK flag not given, key not in the file", args: []string{}, text: "vips: []\n",
			want: helperOf(2, 2100, CarrierAuto)},
		{name: "OK environment mends the file", text: "vips: []\nhelper: {queues: 99}",
			env: map[string]string{"FTPVIP_HELPER_QUEUES": "4"}, want: helperOf(4, 2100, CarrierAuto)},

		{name: "bad number", env: map[string]string{"FTPVIP_HELPER_QUEUES": "four"},
			err: `FTPVIP_HELPER_QUEUES: helper.queues: "four": is not a plain decimal number; allowed: 1..64; ` +
				"remedy: write digits only, without a leading zero"},
		{name: "bad range", env: map[string]string{"FTPVIP_HELPER_QUEUES": "65"},
			err: `FTPVIP_HELPER_QUEUES: helper.queues: "65": is too big; allowed: 1..64; remedy: use 64 or less`},
		{name: "bad word", env: map[string]string{"FTPVIP_HELPER_CARRIER": "san"},
			err: `FTPVIP_HELPER_CARRIER: helper.carrier: "san": is not one of the allowed words; ` +
				"allowed: auto | cthelper | sane; remedy: did you mean sane?"},
		{name: "bad flag", args: []string{"--queues=-1"},
			err: `command line: helper.queues: "-1": is too small; allowed: 1..64; remedy: use 1 or more`},
		{name: "bad section", env: map[string]string{"FTPVIP_VIPS": "192.0.2.1"},
			err: `FTPVIP_VIPS: vips: "192.0.2.1": one value cannot replace vips; remedy: unset the variable; ` +
				"of the file's keys, those of helper can be overridden: FTPVIP_HELPER_QUEUES"},
		{name: "bad file and environment", text: "vips: 1", env: map[string]string{"FTPVIP_HELPER_QUEUES": "0"},
			err: `FTPVIP_HELPER_QUEUES: helper.queues: "0": is too small; allowed: 1..64; remedy: use 1 or more` + "\n" +
				"f.yaml:1: vips: 1: is a number; allowed: a list of VIPs, [] for none; remedy: start each element on a line of its own, with '- ' before it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clearEnv(t)
			for key, val := range tt.env {
				t.Setenv(key, val)
			}
			v := viper.New()
			if tt.args != nil {
				flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
				flags.Int("queues", 7, "")
				if err := v.BindPFlag("helper.queues", flags.Lookup("queues")); err != nil {
					t.Fatal(err)
				}
				if err := flags.Parse(tt.args); err != nil {
					t.Fatal(err)
				}
			}
			text := tt.text
			if text == "" {
				text = file
			}
			for range 2 { // the second time v holds the file already, as after a reload
				cfg, err := Parse("f.yaml", []byte(text), v)
				switch {
				case tt.err != "":
					if err == nil || err.Error() != tt.err {
						t.Fatalf("got  %v\nwant %s", err, tt.err)
					}
				case err != nil:
					t.Fatal(err)
				case cfg.Helper != tt.want:
					t.Fatalf("got  %+v\nwant %+v", cfg.Helper, tt.want)
				}
			}
		})
	}
}

// TestNoViper: without a viper the environment is not read, so that golden tests depend on nothing.
func TestNoViper(t *testing.T) {
	t.Setenv("FTPVIP_HELPER_QUEUES", "4")
	cfg, err := Parse("f.yaml", []byte("vips: []"), nil)
	if err != nil || cfg.Helper.Queues != defaultQueues {
		t.Errorf("%+v, %v", cfg, err)
	}
}

// TestViperKnowsTheFile: what a caller asks v is what the Config says.
func TestViperKnowsTheFile(t *testing.T) {
	clearEnv(t)
	v := viper.New()
	if _, err := Parse("f.yaml", []byte("{vips: [], helper: {carrier: sane}}"), v); err != nil {
		t.Fatal(err)
	}
	if got := v.GetString("helper.carrier"); got != "sane" {
		t.Errorf("helper.carrier is %q", got)
	}
}

// clearEnv hides variables that the developer's shell happens to have. Viper takes an empty one for none.
func clearEnv(t testing.TB) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, envPrefix+"_") {
			t.Setenv(name, "")
		}
	}
}

// helperOf is the helper section with everything else at its default.
func helperOf(queues int, first uint16, carrier Carrier) Helper {
	return Helper{
		Queues: queues, FirstQueue: first, Carrier: carrier,
		MaxDataPerClient: defaultMaxClient, MaxData: DefaultMaxData,
	}
}
