package doctor

import (
	"strings"

	"ftpvip/rules/walk"
)

// Shell makes one word of s for a shell. Names of tables, chains and interfaces in remedies are other programs' choice: an
// admin who copies a remedy must not run what a name says.
func Shell(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%,=") == "" && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shellChain is a chain as nft takes it from a shell.
func shellChain(c *walk.Chain) string {
	return string(c.Table.Family) + " " + Shell(c.Table.Name) + " " + Shell(c.Name)
}
