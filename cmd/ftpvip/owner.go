package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// actAsOwner makes root write files as the owner of the state directory. The services run as a user of their own;
// what an admin's command leaves in the directory must be theirs to read, lock and replace, and a link in it must not
// lead root to somebody else's files. Only access to files changes: the process keeps its user and CAP_NET_ADMIN.
func actAsOwner(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("looking for the owner of the state directory: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	return errors.Join(setFS(unix.SYS_SETFSGID, owner.Gid), setFS(unix.SYS_SETFSUID, owner.Uid))
}

// setFS makes one of the two system calls in all threads: the runtime moves goroutines between them. The calls
// report no error of their own; they return the former id.
func setFS(call uintptr, id uint32) error {
	if _, _, errno := syscall.AllThreadsSyscall(call, uintptr(id), 0, 0); errno != 0 {
		return fmt.Errorf("taking the state directory's owner %d for files: %w", id, errno)
	}
	return nil
}
