package host

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"ftpvip/rules"
	"ftpvip/rules/doctor"
)

// startFiles are what nft loads when a host starts: on Debian, on Fedora and its kin, on Arch and Alpine.
var startFiles = []string{"/etc/nftables.conf", "/etc/sysconfig/nftables.conf", "/etc/nftables.nft", "/etc/nftables.d/*", "/etc/nftables/*"}

// maxIncludes is how deep includes are followed.
const maxIncludes = 8

var (
	ourTable    = regexp.MustCompile(`^\s*(?:add\s+|create\s+)?table\s+inet\s+` + rules.TableName + `\b`)
	includeLine = regexp.MustCompile(`^\s*include\s+"([^"]+)"`)
)

// Saved lists the places where files that nft loads when the host starts hold our table. Files that cannot be read are left out:
// most are root's, and root runs doctor.
func Saved() []doctor.SavedTable {
	var list []doctor.SavedTable
	seen := map[string]bool{}
	for _, pattern := range startFiles {
		list = append(list, savedIn(pattern, seen, 0)...)
	}
	return list
}

// savedIn looks into the files of a pattern, and into those that they include.
func savedIn(pattern string, seen map[string]bool, depth int) (list []doctor.SavedTable) {
	files, err := filepath.Glob(pattern)
	if err != nil || depth > maxIncludes {
		return nil
	}
	for _, path := range files {
		if seen[path] {
			continue
		}
		seen[path] = true
		list = append(list, savedInFile(path, seen, depth)...)
	}
	return list
}

func savedInFile(path string, seen map[string]bool, depth int) (list []doctor.SavedTable) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close() //nolint:errcheck // only read
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if ourTable.MatchString(line) && strings.Contains(line, "{") {
			list = append(list, doctor.SavedTable{File: path, Line: n})
		}
		if m := includeLine.FindStringSubmatch(line); m != nil {
			target := m[1]
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(path), target)
			}
			list = append(list, savedIn(target, seen, depth+1)...)
		}
	}
	return list
}
