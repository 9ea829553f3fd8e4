package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kept are the capabilities that a command keeps: those of the services.
var kept = []uint{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}

// Owner is a user who is not root, and owns a directory that root names.
type Owner struct {
	path   string
	uid    int
	gid    int
	groups []int
	home   string // "": unknown
}

// Foreign returns the owner of the directory at path if this process is root and the directory is not root's, and nil
// otherwise: there is nothing to give up. A directory that does not exist is nobody's.
func Foreign(path string) (*Owner, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	d, err := open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if d.stat.Uid == 0 {
		return nil, nil
	}
	if d.stat.Mode&0o002 != 0 {
		return nil, d.errWritable()
	}
	o := &Owner{path: path, uid: int(d.stat.Uid), gid: int(d.stat.Gid)}
	o.lookUp()
	if o.gid == 0 {
		return nil, fmt.Errorf("the state directory %s belongs to user %d, whose group would be root's: %w; give it the group of that "+
			"user with `chgrp GROUP %s`, or make it root's", path, o.uid, ErrForeign, path)
	}
	return o, nil
}

// lookUp takes groups and home from the lists of users and groups, as systemd does for the services. A number that is
// no user's has the directory's group.
func (o *Owner) lookUp() {
	u, err := user.LookupId(strconv.Itoa(o.uid))
	if err != nil {
		return
	}
	if gid, err := strconv.Atoi(u.Gid); err == nil {
		o.gid = gid
	}
	o.home = u.HomeDir
	ids, err := u.GroupIds()
	if err != nil {
		return
	}
	for _, id := range ids {
		if gid, err := strconv.Atoi(id); err == nil {
			o.groups = append(o.groups, gid)
		}
	}
}

// Become makes the process the owner, for good: all ids of all threads, its groups, and of the capabilities only those
// of the services. Neither it nor its children get more again. Files that the caller left open are not passed on to
// children. The kernel lets nobody trace the process, whose terminal may be root's. After an error the process must
// end: it may be half-way.
func (o *Owner) Become() error {
	if err := o.become(); err != nil {
		return fmt.Errorf("the state directory %s belongs to user %d, and this process cannot become that user: %w; "+
			"run the command as that user with CAP_NET_ADMIN, or name a directory of root's with --state-dir", o.path, o.uid, err)
	}
	return nil
}

func (o *Owner) become() error {
	// Asked first, as a program with cgo cannot do it, and would be half-way after the other calls.
	if err := allThreads(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1, 0); err != nil {
		return fmt.Errorf("keeping capabilities: %w", err)
	}
	if err := closeOnExec(); err != nil {
		return fmt.Errorf("keeping open files from programs: %w", err)
	}
	var have [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &have[0]); err != nil {
		return fmt.Errorf("reading capabilities: %w", err)
	}
	var keep [2]unix.CapUserData
	for _, c := range kept {
		keep[c/32].Permitted |= have[c/32].Permitted & (1 << (c % 32))
		keep[c/32].Effective = keep[c/32].Permitted
	}
	if err := syscall.Setgroups(o.groups); err != nil {
		return fmt.Errorf("taking the groups %v: %w", o.groups, err)
	}
	if err := syscall.Setresgid(o.gid, o.gid, o.gid); err != nil {
		return fmt.Errorf("taking the group %d: %w", o.gid, err)
	}
	if err := syscall.Setresuid(o.uid, o.uid, o.uid); err != nil {
		return fmt.Errorf("taking the user %d: %w", o.uid, err)
	}
	err := allThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&keep[0])), 0) // #nosec G103 -- capset(2) takes pointers
	runtime.KeepAlive(&header)
	runtime.KeepAlive(&keep)
	if err != nil {
		return fmt.Errorf("giving up capabilities: %w", err)
	}
	if err := allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return fmt.Errorf("forbidding new privileges: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil { // of the process, not of the thread
		return fmt.Errorf("forbidding to be traced: %w", err)
	}
	if o.home != "" {
		if err := os.Setenv("HOME", o.home); err != nil {
			return err
		}
	}
	return o.verify()
}

// verify wants to see what was done.
func (o *Owner) verify() error {
	ruid, euid, suid := unix.Getresuid()
	rgid, egid, sgid := unix.Getresgid()
	for _, id := range []int{ruid, euid, suid} {
		if id != o.uid {
			return fmt.Errorf("the user is %d, want %d", id, o.uid)
		}
	}
	for _, id := range []int{rgid, egid, sgid} {
		if id != o.gid {
			return fmt.Errorf("the group is %d, want %d", id, o.gid)
		}
	}
	if unix.Setresuid(0, 0, 0) == nil {
		return errors.New("the way back to root is open")
	}
	return nil
}

// closeOnExec keeps what is open beside standard input and output from programs that are run later. Kernels before 5.11
// have no system call for it.
func closeOnExec() error {
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return nil
	}
	entries, err := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return err
}

// allThreads makes a system call in all threads: the runtime moves goroutines between them.
//
//go:uintptrescapes
func allThreads(call, a, b, c uintptr) error {
	if _, _, errno := syscall.AllThreadsSyscall6(call, a, b, c, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
