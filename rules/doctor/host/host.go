// Package host reads from the live host what doctor judges by. It changes nothing.
package host

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ftpvip/rules/doctor"
)

// Read fills in sysctls, links, routes and what else the host says without a capability.
func Read(f *doctor.Facts) error {
	local := map[netip.Addr]bool{}
	names, err := readLinks(f, local)
	if err != nil {
		return err
	}
	if err := readRoutes(f, local); err != nil {
		return err
	}
	f.Sysctls = map[string]string{}
	for _, path := range doctor.Sysctls(names) {
		b, err := os.ReadFile(filepath.Join("/proc/sys", path))
		if err == nil {
			f.Sysctls[path] = strings.TrimSpace(string(b))
		} else if !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("reading a kernel setting: %w", err)
		}
	}
	if f.RPDrops, err = rpDrops(); err != nil {
		return err
	}
	f.Systemd = exists("/run/systemd/system")
	f.Keepalived = exists("/run/keepalived.pid") || exists("/run/keepalived/keepalived.pid")
	f.Saved = Saved()
	f.Modules = map[string]bool{"nf_conntrack_ftp": exists("/sys/module/nf_conntrack_ftp")}
	return nil
}

// Legacy lists the tables of iptables-legacy. Only root may read them; others get none.
func Legacy() ([]string, error) {
	var tables []string
	for _, name := range []string{"ip_tables_names", "ip6_tables_names"} {
		b, err := os.ReadFile("/proc/net/" + name)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission) {
			return nil, fmt.Errorf("asking for tables of iptables-legacy: %w", err)
		}
		for table := range strings.FieldsSeq(string(b)) {
			tables = append(tables, strings.TrimSuffix(name, "_tables_names")+" "+table)
		}
	}
	return tables, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// HasNetAdmin reports whether this process has CAP_NET_ADMIN.
func HasNetAdmin() (bool, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false, fmt.Errorf("reading this process's capabilities: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			caps, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			if err != nil {
				return false, fmt.Errorf("reading this process's capabilities: %w", err)
			}
			return caps&(1<<unix.CAP_NET_ADMIN) != 0, nil
		}
	}
	return false, errors.New("reading this process's capabilities: /proc/self/status has no CapEff")
}

// rpDrops reads TcpExt IPReversePathFilter: a line of names, then a line of numbers.
func rpDrops() (uint64, error) {
	file, err := os.Open("/proc/net/netstat")
	if err != nil {
		return 0, fmt.Errorf("reading the kernel's counters: %w", err)
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	var names []string
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(names) != len(fields) || len(names) == 0 || names[0] != fields[0] {
			names = fields
			continue
		}
		for i, name := range names {
			if name == "IPReversePathFilter" {
				return strconv.ParseUint(fields[i], 10, 64)
			}
		}
	}
	return 0, lines.Err()
}

// addrOf turns a net.IP into an address.
func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
