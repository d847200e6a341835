package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// directory is a place on a disk.
type directory string

func newDirectory(name string) (directory, error) {
	if err := os.MkdirAll(name, 0o700); err != nil {
		return "", fmt.Errorf("make the directory of snapshots: %w", err)
	}
	return directory(name), nil
}

func (d directory) String() string { return string(d) }
func (d directory) path(name string) string {
	return filepath.Join(string(d), filepath.FromSlash(name))
}

// staleAfter is when a file that somebody began to write, and did not finish, is removed.
const (
	staleAfter = time.Hour
	unfinished = ".unfinished-"
)

func (d directory) list(_ context.Context, folder string) (files, folders []string, err error) {
	entries, err := os.ReadDir(d.path(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list the snapshots in %s: %w", d, err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), unfinished) {
			if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > staleAfter {
				_ = os.Remove(filepath.Join(d.path(folder), e.Name())) // or the next time
			}
			continue
		}
		files = append(files, e.Name()) // a directory may have the name of a snapshot
		if e.IsDir() {
			folders = append(folders, e.Name())
		}
	}
	return files, folders, nil
}

func (d directory) missing(error) bool { return false }

// open opens a file. What is there of that name and cannot be opened is no better than a
// damaged one.
func (d directory) open(_ context.Context, name string) (io.ReadCloser, error) {
	f, err := os.Open(d.path(name))
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		f.Close()
		return nil, unreadable("it is not a file")
	}
	return f, nil
}

// put writes beside, and gives the file its name when it is on the disk: a link does
// so only if nobody has the name, which a rename would not look at.
func (d directory) put(_ context.Context, name string, write func(io.Writer) error) (size int64, err error) {
	final := d.path(name)
	dir := filepath.Dir(final)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	f, err := os.CreateTemp(dir, unfinished)
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	if err = write(f); err == nil {
		err = f.Sync()
	}
	if info, serr := f.Stat(); err == nil && serr == nil {
		size = info.Size()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	if err = os.Link(f.Name(), final); errors.Is(err, fs.ErrExist) {
		return 0, errExists
	}
	if err != nil {
		return 0, explainLink(err)
	}
	return size, syncDirectory(dir)
}

// explainLink says what is wrong where the disk has no hard links, which the system
// calls a thing that is not permitted.
func explainLink(err error) error {
	for _, none := range []error{syscall.EPERM, errors.ErrUnsupported, syscall.EMLINK} {
		if errors.Is(err, none) {
			return fmt.Errorf("the directory's file system has no hard links, without which two tasks could write one snapshot: name a directory elsewhere, or a bucket: %w", err)
		}
	}
	return err
}

// syncDirectory has a name outlive the machine.
func syncDirectory(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d directory) remove(_ context.Context, name string) error {
	return os.Remove(d.path(name))
}

func (d directory) drop(folder string) error { return os.Remove(d.path(folder)) }
