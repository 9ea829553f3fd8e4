package statedir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What may be wrong with a directory or a file in it.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrForeign    = errors.New("not to be trusted")
	ErrTooLarge   = errors.New("too large")
)

// Dir is an open directory.
type Dir struct {
	fd   int // O_PATH
	path string
	stat unix.Stat_t
}

// Open opens the state directory. Root gets an ErrForeign for one that is not root's alone.
func Open(path string) (*Dir, error) {
	d, err := open(path)
	if err != nil {
		return nil, err
	}
	if err := d.trusted(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func open(path string) (*Dir, error) { return openAs(path, 0) }

// openAs is open with more flags.
func openAs(path string, flags int) (*Dir, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	d := &Dir{fd: fd, path: path}
	if err := unix.Fstat(fd, &d.stat); err != nil {
		d.Close()
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return d, nil
}

// Close closes the directory.
func (d *Dir) Close() { _ = unix.Close(d.fd) } // nothing was written through it

// Owner is the user that the directory belongs to.
func (d *Dir) Owner() uint32 { return d.stat.Uid }

// Join is a path to a name in this very directory, wherever it is by now, and short enough for any system call. It works
// in this process, as long as the directory is open.
func (d *Dir) Join(name string) string {
	return filepath.Join("/proc/self/fd", strconv.Itoa(d.fd), name)
}

// trusted is the second rule of the package.
func (d *Dir) trusted() error {
	switch {
	case os.Geteuid() != 0:
		return nil
	case d.stat.Uid != 0:
		return fmt.Errorf("%s belongs to user %d now, and root does not read it: %w; run the command again", d.path, d.stat.Uid, ErrForeign)
	case d.stat.Mode&0o002 != 0, d.stat.Mode&0o020 != 0 && d.stat.Gid != 0:
		return d.errWritable()
	}
	return nil
}

func (d *Dir) errWritable() error {
	return fmt.Errorf("others may write to the state directory %s: %w; forbid it with `chmod 0750 %s`, or name another with --state-dir",
		d.path, ErrForeign, d.path)
}

// Own returns an error where the directory is not this process's own: then it may look, and change or run nothing.
func (d *Dir) Own() error {
	if uid := os.Geteuid(); uint32(uid) != d.stat.Uid {
		return fmt.Errorf("the state directory %s belongs to user %d, and this is user %d: %w; run the command as root",
			d.path, d.stat.Uid, uid, fs.ErrPermission)
	}
	return nil
}

// OpenFile opens a regular file in the directory, and does not wait for anybody. The flags are those of os.OpenFile.
func (d *Dir) OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	path := filepath.Join(d.path, name)
	truncate := flag&os.O_TRUNC != 0
	fd, err := unix.Openat(d.fd, name, flag&^os.O_TRUNC|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, uint32(mode.Perm()))
	if err != nil {
		var st unix.Stat_t
		if unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && !regular(&st) {
			return nil, errNotRegular(path, &st)
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	if flag&os.O_EXCL == 0 { // otherwise it is of our own making
		err = d.check(fd, path)
	}
	if err == nil && truncate {
		err = f.Truncate(0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (d *Dir) check(fd int, path string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if !regular(&st) {
		return errNotRegular(path, &st)
	}
	if os.Geteuid() == 0 && (st.Uid != 0 || st.Mode&0o002 != 0 || st.Mode&0o020 != 0 && st.Gid != 0) {
		return fmt.Errorf("others than root may write to %s: %w; look at it, then remove it with `rm %s`, or make it root's with "+
			"`chown root:root %s; chmod 0640 %s`", path, ErrForeign, path, path, path)
	}
	return nil
}

func regular(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFREG }

func errNotRegular(path string, st *unix.Stat_t) error {
	kinds := map[uint32]string{
		unix.S_IFLNK: "a symbolic link", unix.S_IFIFO: "a named pipe", unix.S_IFDIR: "a directory", unix.S_IFSOCK: "a socket",
		unix.S_IFCHR: "a device", unix.S_IFBLK: "a device",
	}
	remedy := "rm "
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		remedy = "rm -r "
	}
	return fmt.Errorf("%s is %s, %w: remove it with `%s%s`", path, kinds[st.Mode&unix.S_IFMT], ErrNotRegular, remedy, path)
}

// Read returns the content of a regular file in the directory, or ErrTooLarge where it has more than limit bytes.
func (d *Dir) Read(name string, limit int64) ([]byte, error) {
	f, err := d.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return readAll(f, limit)
}

// Read is Dir.Read for the directory at path.
func Read(path, name string, limit int64) ([]byte, error) {
	d, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Read(name, limit)
}

// ReadRegular returns the content of a regular file anywhere, such as one that a configuration names. Links are followed;
// pipes and devices, which might never end, are not read.
func ReadRegular(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: ErrNotRegular}
	}
	return readAll(f, limit)
}

func readAll(f *os.File, limit int64) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	tooLarge := &fs.PathError{Op: "read", Path: f.Name(), Err: fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)}
	if info.Size() > limit {
		return nil, tooLarge
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = tooLarge
	}
	return b, err
}

// Stat describes what has a name in the directory; links are not followed.
func (d *Dir) Stat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return st, &fs.PathError{Op: "stat", Path: filepath.Join(d.path, name), Err: err}
	}
	return st, nil
}

// Rename gives a file in the directory another name.
func (d *Dir) Rename(from, to string) error {
	if err := unix.Renameat(d.fd, from, d.fd, to); err != nil {
		return &os.LinkError{Op: "rename", Old: filepath.Join(d.path, from), New: filepath.Join(d.path, to), Err: err}
	}
	return nil
}

// Remove removes a file from the directory.
func (d *Dir) Remove(name string) error {
	if err := unix.Unlinkat(d.fd, name, 0); err != nil {
		return &fs.PathError{Op: "remove", Path: filepath.Join(d.path, name), Err: err}
	}
	return nil
}

// Replace gives a file in the directory a new content, atomically and durably.
func (d *Dir) Replace(name string, b []byte, mode fs.FileMode) (err error) {
	tmp := "." + name + "." + strings.ToLower(rand.Text()[:10])
	f, err := d.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = d.Remove(tmp)
		}
	}()
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := d.Rename(tmp, name); err != nil {
		return err
	}
	return d.sync()
}

// sync makes a rename durable: fsync(2), "does not necessarily ensure that the entry in the directory containing the
// file has also reached disk".
func (d *Dir) sync() error {
	fd, err := unix.Openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: d.path, Err: err}
	}
	return errors.Join(unix.Fsync(fd), unix.Close(fd))
}

// Replace is Dir.Replace for a file at any path, such as one that an admin names: the directory may be anybody's.
func Replace(path string, b []byte, mode fs.FileMode) error {
	d, err := open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Replace(filepath.Base(path), b, mode)
}
