package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// restartAfter is how long ECS is taken to need to see that a task died and to start
// another one.
const restartAfter = 500 * time.Millisecond

// A task is a place in which a weir process runs, and is started again when it died.
type task struct {
	name    string // and its access key
	binary  string
	dir     string
	environ []string

	mu      sync.Mutex
	cmd     *exec.Cmd // nil: none runs
	ended   chan struct{}
	api     string    // where it serves; "" = not yet
	serves  time.Time // since when; of the process before while this one does not
	died    time.Time // when the last one ended
	killed  bool      // the process at hand was killed on purpose
	stopped bool      // it is not to be started any more
}

// start starts a process where none runs and one is due.
func (t *task) start(args ...string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cmd != nil || t.stopped || time.Since(t.died) < restartAfter {
		return nil
	}
	log, err := os.OpenFile(filepath.Join(t.dir, t.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		log.Close()
		return err
	}
	cmd := exec.Command(t.binary, args...)
	cmd.Env = append(slices.Clone(t.environ), "AWS_ACCESS_KEY_ID="+t.name, "AWS_SECRET_ACCESS_KEY=x", "PATH="+os.Getenv("PATH"), "HOME="+t.dir)
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.dir, w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		log.Close()
		r.Close()
		return err
	}
	t.cmd, t.ended, t.api, t.killed = cmd, make(chan struct{}), "", false
	go t.follow(cmd, io.TeeReader(r, log), func() { r.Close(); log.Close() }, t.ended)
	return nil
}

// follow reads what a process says, until it ends.
func (t *task) follow(cmd *exec.Cmd, out io.Reader, done func(), ended chan struct{}) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var said struct{ Msg, API string }
		if strings.Contains(lines.Text(), `"msg":"started"`) && json.Unmarshal(lines.Bytes(), &said) == nil {
			t.mu.Lock()
			t.api, t.serves = "http://"+said.API, time.Now()
			t.mu.Unlock()
		}
	}
	_ = cmd.Wait() // its code is read from its state
	done()
	t.mu.Lock()
	t.cmd, t.api, t.died = nil, "", time.Now()
	t.mu.Unlock()
	close(ended)
}

// kill is SIGKILL. It reports whether there was anything to kill.
func (t *task) kill() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cmd == nil || t.killed {
		return false
	}
	t.killed = true
	return t.cmd.Process.Kill() == nil
}

// finish waits until the process has ended by itself, and returns its exit code.
func (t *task) finish(patience time.Duration) (int, error) {
	t.mu.Lock()
	cmd, ended := t.cmd, t.ended
	t.stopped = true
	t.mu.Unlock()
	if cmd == nil {
		return 0, nil
	}
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	<-ended
	return cmd.ProcessState.ExitCode(), nil
}

// signal is SIGTERM. How the process ends comes by what is returned.
func (t *task) signal() (<-chan exit, error) {
	t.mu.Lock()
	cmd, ended := t.cmd, t.ended
	t.mu.Unlock()
	if cmd == nil {
		return nil, fmt.Errorf("%s does not run", t.name)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return nil, err
	}
	out := make(chan exit, 1)
	go func() {
		<-ended
		out <- exit{cmd.ProcessState.ExitCode(), time.Now()}
	}()
	return out, nil
}

// terminate is SIGTERM, and finish. It returns how long that took.
func (t *task) terminate(patience time.Duration) (time.Duration, error) {
	told := time.Now()
	ended, err := t.signal()
	if err != nil {
		return 0, err
	}
	if _, err := t.finish(patience); err != nil {
		return 0, err
	}
	e := <-ended
	if e.code != 0 {
		return 0, fmt.Errorf("%s ended with %d after SIGTERM", t.name, e.code)
	}
	return e.at.Sub(told), nil
}

var errNotServing = errors.New("it does not serve yet")

// decisions asks the task for all that it shows.
func (t *task) decisions(ctx context.Context) (all []decision, err error) {
	t.mu.Lock()
	api := t.api
	t.mu.Unlock()
	if api == "" {
		return nil, errNotServing
	}
	for cursor := ""; ; {
		query := url.Values{"limit": {"500"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		var page struct {
			Decisions []decision
			Next      string
		}
		if err := getJSON(ctx, api+"/api/v1/decisions?"+query.Encode(), &page); err != nil {
			return nil, err
		}
		all = append(all, page.Decisions...)
		if cursor = page.Next; cursor == "" {
			return all, nil
		}
	}
}

func getJSON(ctx context.Context, url string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(v)
}
