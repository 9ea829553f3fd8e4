package configs

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"ftpvip/configs/statedir"
)

const (
	wantPrefix     = "a prefix such as 192.0.2.0/24 or 2001:db8::/32, or an address"
	wantPrefixes   = "a list of prefixes such as [192.0.2.0/24, \"2001:db8::/32\"]"
	wantPrefixFile = "the name of a file with one prefix a line, relative to the configuration's folder"
)

// Bounds of a file of prefixes. A million of the longest ones take about 48 MiB.
const (
	maxListSize   = 64 << 20 // bytes
	maxListErrors = 10       // mistakes that are reported of one file
)

// prefixes reads a list of prefixes: some stand in the configuration, some in a file that it names. An empty list of
// those who are let in would let in nobody, or everybody: the admin has to say.
func (c *checker) prefixes(s *section, key, fileKey string, some bool) []netip.Prefix {
	inline := s.texts(key, wantPrefixes)
	if some && inline.state == given && len(inline.all) == 0 {
		c.at(inline.pos, "the list is empty", wantPrefixes, "add a prefix, or delete the key to let everybody in")
	}
	var list []netip.Prefix
	for _, f := range inline.all {
		if f.state != given {
			continue
		}
		p, message, remedy := prefix(f.val)
		if message != "" {
			c.at(f.pos, message, wantPrefix, remedy)
			continue
		}
		list = append(list, p)
	}
	if file := s.text(fileKey, wantPrefixFile); file.state == given && file.val != "" {
		list = append(list, c.prefixFile(file)...)
	}
	return list
}

// prefix reads one prefix, or says what is wrong with it.
func prefix(text string) (p netip.Prefix, message, remedy string) {
	if a, err := netip.ParseAddr(text); err == nil {
		if a.Zone() != "" {
			return p, "has a zone", "write it without %" + shortened(a.Zone())
		}
		p = netip.PrefixFrom(a, a.BitLen())
	} else if p, err = netip.ParsePrefix(text); err != nil {
		return p, "is not a prefix", "write address and length, such as 192.0.2.0/24"
	}
	switch {
	case p.Addr().Is4In6():
		return p, "is an IPv4 address in IPv6 form", "write it as an IPv4 prefix"
	case p.Masked() != p:
		return p, "has bits set beyond its length", "write " + p.Masked().String()
	}
	return p, "", ""
}

// prefixFile reads a file of prefixes: one a line, with comments from # on.
func (c *checker) prefixFile(f field[string]) []netip.Prefix {
	path := f.val
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.dir, path)
	}
	data, err := readList(path)
	if err != nil {
		c.at(f.pos, err.Error(), wantPrefixFile, "check the name, and who may read it: ls -l "+shortened(path))
		return nil
	}
	var list []netip.Prefix
	line, mistakes := 0, 0
	for text := range bytes.Lines(data) {
		line++
		text, _, _ = bytes.Cut(text, []byte("#"))
		word := string(bytes.TrimSpace(text))
		if word == "" {
			continue
		}
		p, message, remedy := prefix(word)
		if message == "" {
			list = append(list, p)
			continue
		}
		if mistakes++; mistakes > maxListErrors {
			break
		}
		c.add(Problem{
			Line: f.line, Source: fmt.Sprintf("%s:%d", path, line), Path: f.path, Value: quoted(word),
			Message: message, Want: wantPrefix, Remedy: remedy,
		})
	}
	switch {
	case mistakes > maxListErrors:
		c.at(f.pos, fmt.Sprintf("the file has more than %d lines that are no prefixes", maxListErrors), "", "mend those that are named first")
	case mistakes > 0:
		c.at(f.pos, "the file has lines that are no prefixes", "", "mend those that are named")
	case len(list) == 0:
		c.at(f.pos, "the file holds no prefix", wantPrefixFile, "add a prefix to it, or delete the key")
	}
	return list
}

// readList reads a regular file: a pipe or a device might never end.
func readList(path string) ([]byte, error) {
	data, err := statedir.ReadRegular(path, maxListSize)
	switch {
	case errors.Is(err, statedir.ErrNotRegular):
		return nil, errors.New("is not a regular file")
	case errors.Is(err, statedir.ErrTooLarge):
		return nil, fmt.Errorf("is bigger than %d MiB", maxListSize>>20)
	case err != nil:
		return nil, fmt.Errorf("cannot be read: %w", pathless(err))
	}
	if strings.ContainsRune(string(data[:min(len(data), 512)]), 0) {
		return nil, errors.New("is not a text file")
	}
	return data, nil
}

// pathless takes the path out of an error: the message names the key and the value already.
func pathless(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	return err
}
