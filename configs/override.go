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

// overlay lets viper decide about the keys outside lists: it knows the precedence of flags, environment and
// file, and the tree knows the lines. What it answers and the file does not say is an override.
func overlay(r *report, v *viper.Viper, root *yaml.Node) map[string]override {
	if v == nil {
		return nil
	}
	v.SetEnvPrefix(envPrefix)
	v.SetEnvKeyReplacer(envReplacer)
	v.AutomaticEnv()
	v.SetConfigType("yaml")
	// Neither can fail: an empty text has no errors, and of maps viper takes all.
	_ = v.ReadConfig(strings.NewReader("")) // v may know an earlier text
	_ = v.MergeConfigMap(outsideLists(root))

	for _, key := range rootKeys {
		if val := os.Getenv(envName(key)); val != "" {
			r.at(pos{source: envName(key), path: key, text: quoted(val)}, "one value cannot replace "+key, "",
				"unset the variable; of the file's keys, those of helper can be overridden: "+envName("helper.queues"))
		}
	}
	overrides := make(map[string]override)
	for _, name := range helperKeys {
		key := "helper." + name
		if !v.IsSet(key) { // Get would answer with the default of a flag that nobody used
			continue
		}
		text, ok := scalar(v.Get(key))
		if !ok || inFile(root, "helper", name, text) {
			continue
		}
		source := "command line"
		if os.Getenv(envName(key)) == text {
			source = envName(key)
		}
		overrides[key] = override{path: key, source: source, text: text}
	}
	return overrides
}

// outsideLists is the file without what stands in lists: viper looks at nothing else, and the lists of a thousand VIPs
// take it longer than everything else takes together.
func outsideLists(root *yaml.Node) map[string]any {
	sections := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i+1].Kind != yaml.SequenceNode {
			sections.Content = append(sections.Content, root.Content[i:i+2]...)
		}
	}
	values := map[string]any{}
	if sections.Decode(&values) != nil { // a key stands there twice, which decode reports with its line
		return nil
	}
	return values
}

// scalar gives a value of viper's as text.
func scalar(val any) (string, bool) {
	switch val.(type) {
	case nil, []any, map[string]any, map[any]any:
		return "", false
	}
	return fmt.Sprint(val), true
}

// inFile tells whether the file has text at section.key. Viper does not tell upper case from lower: what it found
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
