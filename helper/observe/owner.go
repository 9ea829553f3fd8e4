package observe

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// netlinkFile lists the netlink sockets of this network namespace (net/netlink/af_netlink.c, netlink_native_seq_show).
const netlinkFile = "/proc/thread-self/net/netlink"

// QueueOwner finds the process that reads from a queue: the queue names its reader's netlink port, and the port's socket is
// open in a process. It is not found if it belongs to another user and we are not root.
func QueueOwner(number uint16) (name string, pid int, ok bool) {
	queues, err := Queues()
	if err != nil {
		return "", 0, false
	}
	table, err := os.ReadFile(netlinkFile)
	if err != nil {
		return "", 0, false
	}
	inode, ok := netlinkInode(string(table), queues[number].PeerPortID)
	if !ok {
		return "", 0, false
	}
	files, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return "", 0, false
	}
	for _, file := range files {
		if to, err := os.Readlink(file); err != nil || to != "socket:["+inode+"]" {
			continue // or it has been closed since then
		}
		process := filepath.Dir(filepath.Dir(file))
		comm, err := os.ReadFile(filepath.Join(process, "comm"))
		if err != nil {
			return "", 0, false
		}
		pid, err := strconv.Atoi(filepath.Base(process))
		return strings.TrimSpace(string(comm)), pid, err == nil
	}
	return "", 0, false
}

// netlinkInode finds the socket of netfilter's netlink that has a port.
func netlinkInode(table string, port uint32) (inode string, ok bool) {
	for line := range strings.Lines(table) {
		// sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
		f := strings.Fields(line)
		if len(f) == 10 && f[1] == strconv.Itoa(unix.NETLINK_NETFILTER) && f[2] == strconv.FormatUint(uint64(port), 10) {
			return f[9], true
		}
	}
	return "", false
}
