package configs

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// Concealed stands in the place of a password in text that is kept.
const Concealed = Secret("(not kept, see the file)")

// Conceal returns the text of a valid configuration without its passwords, for records of what was applied.
func Conceal(text []byte) []byte {
	if !strings.Contains(strings.ToLower(string(text)), "pass") {
		return text
	}
	var doc yaml.Node
	if yaml.Unmarshal(text, &doc) != nil {
		return text // nothing that is not valid is recorded
	}
	found := false
	eachPassword(&doc, func(_ string, password *yaml.Node) {
		found = true
		password.SetString(string(Concealed))
	})
	if !found {
		return text
	}
	out, err := yaml.Marshal(&doc)
	if err != nil {
		return text
	}
	return out
}

// Reveal puts the passwords of a configuration's text into a configuration whose passwords were concealed, by pool. The text may be broken,
// as long as it is YAML. Pools whose password is not found keep Concealed.
func Reveal(cfg *Config, text []byte) {
	var doc yaml.Node
	if yaml.Unmarshal(text, &doc) != nil {
		return
	}
	passwords := map[string]Secret{}
	eachPassword(&doc, func(pool string, password *yaml.Node) { passwords[pool] = Secret(password.Value) })
	for i := range cfg.Pools {
		if p, ok := passwords[cfg.Pools[i].Name]; ok && cfg.Pools[i].Health.Password == Concealed {
			cfg.Pools[i].Health.Password = p
		}
	}
}

// eachPassword finds the passwords of health checks, and the pools that they belong to.
func eachPassword(doc *yaml.Node, do func(pool string, password *yaml.Node)) {
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return
	}
	for _, pools := range children(doc.Content[0], "pools") {
		for _, pool := range pools.Content {
			name := ""
			for _, n := range children(pool, "name") {
				name = n.Value
			}
			for _, health := range children(pool, "health") {
				for _, password := range children(health, "password") {
					if password.Kind == yaml.ScalarNode {
						do(name, password)
					}
				}
			}
		}
	}
}
