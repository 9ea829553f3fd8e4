package configs

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// envPrefix starts the name of every environment variable that ftpvip reads.
const envPrefix = "FTPVIP"

var envReplacer = strings.NewReplacer(".", "_", "-", "_")

// envName is the variable that overrides a key: FTPVIP_HELPER_QUEUES for helper.queues.
func envName(key string) string { return envPrefix + "_" + strings.ToUpper(envReplacer.Replace(key)) }

// override is a value that replaces the file's.
type override struct {
	path, source, text string
}

func (o override) pos() pos {
	return pos{source: o.source, path: o.path, text: quoted(o.text)}
}

// bindFile lets v decide about the keys outside lists: it knows the precedence of flags, environment and file, and the
// tree knows the lines.
func bindFile(v *viper.Viper, root *yaml.Node) {
	v.SetEnvPrefix(envPrefix)
	v.SetEnvKeyReplacer(envReplacer)
	v.AutomaticEnv()
	v.SetConfigType("yaml")
	// Neither can fail: an empty text has no errors, and of maps viper takes all.
	_ = v.ReadConfig(strings.NewReader("")) // v may know an earlier text
	_ = v.MergeConfigMap(outsideLists(root))
}

// refuseOverride reports a variable that would replace a key of the top level.
func (in *input) refuseOverride(key string) {
	if in.viper == nil {
		return
	}
	if val := os.Getenv(envName(key)); val != "" {
		in.at(pos{source: envName(key), path: key, text: quoted(val)}, "one value cannot replace "+key, "",
			"unset the variable; of the file's keys, those of helper can be overridden: "+envName("helper.queues"))
	}
}

// override is what viper answers for a key of a section of the top level and the file does not say.
func (s *section) override(key string) (override, bool) {
	if s.in.viper == nil || s.level != topSection {
		return override{}, false
	}
	path := join(s.path, key)
	if !s.in.viper.IsSet(path) { // Get would answer with the default of a flag that nobody used
		return override{}, false
	}
	text, ok := scalar(s.in.viper.Get(path))
	if !ok || inFile(s.in.root, s.path, key, text) {
		return override{}, false
	}
	source := "command line"
	if os.Getenv(envName(path)) == text {
		source = envName(path)
	}
	return override{path: path, source: source, text: text}, true
}

// outsideLists is the file without what stands in lists: viper looks at nothing else, and the lists of a thousand VIPs
// take it longer than everything else takes together. Its time grows with the square of the number of keys, so it gets no more
// sections and keys than a file can rightly have.
func outsideLists(root *yaml.Node) map[string]any {
	sections := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(root.Content) && len(sections.Content) < 2*mostSections; i += 2 {
		section := *root.Content[i+1]
		if section.Kind != yaml.MappingNode {
			continue
		}
		section.Content = section.Content[:min(len(section.Content), 2*mostKeys)]
		sections.Content = append(sections.Content, root.Content[i], &section)
	}
	values := map[string]any{}
	if sections.Decode(&values) != nil { // a key stands there twice, which is reported with its line
		return nil
	}
	return values
}

// mostSections and mostKeys are far more than a valid file has.
const (
	mostSections = 50
	mostKeys     = 500
)

// scalar gives a value of viper's as text.
func scalar(val any) (string, bool) {
	switch val.(type) {
	case nil, []any, map[string]any, map[any]any:
		return "", false
	}
	return fmt.Sprint(val), true
}

// inFile reports whether the file has text at section.key. Viper does not tell upper case from lower: what it found
// under a key that is written otherwise is the file's, too, and reported as an unknown key.
func inFile(root *yaml.Node, section, key, text string) bool {
	for _, s := range children(root, section) {
		for _, n := range children(s, key) {
			var val any
			if n.Decode(&val) == nil && fmt.Sprint(val) == text {
				return true
			}
		}
	}
	return false
}

// children returns the values of a key, in upper or lower case.
func children(n *yaml.Node, key string) (found []*yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if strings.EqualFold(n.Content[i].Value, key) {
			found = append(found, n.Content[i+1])
		}
	}
	return found
}
