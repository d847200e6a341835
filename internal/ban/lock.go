package ban

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// lockSuffix makes the name of the file that is locked. It is one beside the
// database, since SQLite has locks of its own on that, and some systems would let
// the two kinds bar each other. It is empty, and stays when the lock is given up: to
// delete it would let two processes lock two files of that name.
const lockSuffix = ".lock"

// lockPoll is how often a lock is tried that another process holds.
const lockPoll = 50 * time.Millisecond

// lock makes this process the only one that works with the database at path: each
// has its own memory of what is in force, and would undo what another one decided.
// One that stops is waited for. Closing what lock returns gives the lock up; the
// kernel does it for a process that dies. Where there are no such locks, nobody is
// kept out.
func lock(ctx context.Context, path string, patience time.Duration) (*os.File, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil { // one file has one lock, whatever it is called
		path = real
	}
	f, err := os.OpenFile(path+lockSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock decisions file: %w", err)
	}
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		mine, err := tryLock(f)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock decisions file with %s: %w", f.Name(), err)
		}
		if mine {
			return f, nil
		}
		select {
		case <-time.After(lockPoll):
		case <-deadline.C:
			f.Close()
			return nil, fmt.Errorf("decisions file %s: another process has it open, and did not end within %s: stop it, or give each its own file", path, patience)
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for decisions file %s, which another process has open: %w", path, ctx.Err())
		}
	}
}
