package configs

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/viper"
)

// FuzzParse: no text makes Parse panic, every refusal has a message, and what is accepted is valid.
func FuzzParse(f *testing.F) {
	clearEnv(f)
	f.Add(Reference())
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := Parse("fuzz.yaml", data, nil)
		again, errAgain := Parse("fuzz.yaml", data, viper.New())
		if (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() {
			t.Fatalf("without viper: %v\nwith viper:    %v", err, errAgain)
		}
		if err != nil {
			var e *Error
			if cfg != nil || !errors.As(err, &e) || len(e.Problems) == 0 {
				t.Fatalf("%v, %T %v", cfg, err, err)
			}
			for _, p := range e.Problems {
				if p.Message == "" || p.Line < 0 {
					t.Errorf("a problem without words: %+v", p)
				}
			}
			return
		}
		if diff := diffConfig(cfg, again); diff != "" {
			t.Errorf("viper changed the result:\n%s", diff)
		}
		assertValid(t, cfg)
	})
}
