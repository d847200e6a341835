// Package npm starts servers that come from npm, for tests alone: independent makes
// of what our stand-ins are, so that what ours do is not merely what we believe. Where
// Node or the registry is missing, such a test is skipped and says so.
package npm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	installTime = 2 * time.Minute  // to fetch a module and what it needs
	startTime   = 30 * time.Second // until a server says where it listens
)

// serve is the program that Node runs: the module makes a server of its options, and the
// system chooses the port. It ends with its standard input, and so with us, however that
// comes about.
const serve = `process.stdin.on('end', () => process.exit()).resume();
const [, module, options] = process.argv;
require(module)(JSON.parse(options)).listen(0, '127.0.0.1', function () { console.log('port ' + this.address().port) });`

// Start runs the server that a module of npm makes of options, with its data in memory,
// and returns its address, "http://127.0.0.1:PORT". It is stopped when the test ends. The
// module's version has to be named. It is installed once, below the user's directory for
// caches, and no script of it, or of what it needs, is run.
func Start(t *testing.T, module, version string, options map[string]any) string {
	t.Helper()
	spec := module + "@" + version
	if testing.Short() {
		t.Skipf("SKIPPED: no %s with -short", spec)
	}
	dir, err := install(t.Context(), module, version)
	if err != nil {
		t.Skipf("SKIPPED, not run against %s: %v", spec, err)
	}
	given, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	url, stop, err := start(filepath.Join(dir, "node_modules", module), string(given))
	if err != nil {
		t.Skipf("SKIPPED, not run against %s: %v", spec, err)
	}
	t.Cleanup(stop)
	return url
}

// install returns the directory in which a module is installed. Tests of several packages
// may want it at once: one of them installs it, and a directory that bears the final name
// is whole.
func install(ctx context.Context, module, version string) (string, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", err
	}
	caches, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	caches = filepath.Join(caches, "weir-tests")
	if err := os.MkdirAll(caches, 0o755); err != nil {
		return "", err
	}
	dir := filepath.Join(caches, module+"-"+version)
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close() // and with it the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	fresh, err := os.MkdirTemp(caches, module+"-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh) // unless it has been renamed
	ctx, cancel := context.WithTimeout(ctx, installTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "install", "--prefix", fresh, "--ignore-scripts", "--no-audit", "--no-fund",
		"--no-update-notifier", "--prefer-offline", module+"@"+version)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s install: %w: %s", npm, err, bytes.TrimSpace(out))
	}
	return dir, os.Rename(fresh, dir)
}

// start runs a server and returns its address.
func start(dir, options string) (url string, stop func(), err error) {
	cmd := exec.Command("node", "-e", serve, dir, options)
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	var said bytes.Buffer // what it complains of; complete after Wait
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = sync.OnceFunc(func() {
		in.Close()
		_ = cmd.Process.Kill() // it has gone by itself, perhaps
		_ = cmd.Wait()         // how it ended is of no interest
	})
	slow := time.AfterFunc(startTime, func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	slow.Stop()
	if port, ok := strings.CutPrefix(strings.TrimSpace(line), "port "); err == nil && ok {
		return "http://127.0.0.1:" + port, stop, nil
	}
	stop()
	return "", nil, errors.Join(errors.New("it did not start"), err, errors.New(strings.TrimSpace(said.String())))
}
