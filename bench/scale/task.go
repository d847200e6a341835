package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A task is a weir process at work.
type task struct {
	role string
	cmd  *exec.Cmd
	api  string // where it serves
	log  string // file of what it says
	done chan struct{}
}

// start starts a task whose access key is its role and a number, and waits until it serves.
func start(binary, dir, role string, number int, environ []string) (*task, error) {
	name := fmt.Sprintf("%s-%d", role, number)
	t := &task{role: role, log: filepath.Join(dir, name+".log"), cmd: exec.Command(binary, "run"), done: make(chan struct{})}
	log, err := os.Create(t.log)
	if err != nil {
		return nil, err
	}
	t.cmd.Env = append(slices.Clone(environ), "AWS_ACCESS_KEY_ID="+name, "WEIR_ROLE="+role, "WEIR_KINESIS_WORKER="+name)
	out, err := t.cmd.StderrPipe()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	if err := t.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	const key = `"api":"`
	lines := bufio.NewScanner(io.TeeReader(out, log))
	for t.api == "" && lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), key); ok {
			t.api, _, _ = strings.Cut(rest, `"`)
		}
	}
	go func() {
		defer close(t.done)
		_, _ = io.Copy(log, out)
		log.Close()
	}()
	if t.api == "" {
		t.cmd.Process.Kill()
		return nil, errors.Join(fmt.Errorf("%s did not start", name), t.stop(), t.said())
	}
	return t, nil
}

// said is what the task said last, as an error.
func (t *task) said() error {
	all, err := os.ReadFile(t.log)
	return errors.Join(fmt.Errorf("...%s", all[max(0, len(all)-2000):]), err)
}

// stop is SIGTERM, and waits until the process has ended.
func (t *task) stop() error {
	_ = t.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	timer := time.AfterFunc(time.Minute, func() { _ = t.cmd.Process.Kill() })
	defer timer.Stop()
	<-t.done
	if err := t.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(t.log), err)
	}
	return nil
}

// ready asks whether the task gets ahead.
func (t *task) ready() (bool, error) {
	resp, err := http.Get("http://" + t.api + "/readyz")
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusOK, err
}

// metrics asks for counters; those of several label values are summed up.
func (t *task) metrics(names ...string) (map[string]int, error) {
	resp, err := http.Get("http://" + t.api + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	sums := make(map[string]int)
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		name, _, _ = strings.Cut(name, "{")
		if !slices.Contains(names, name) {
			continue
		}
		i := strings.LastIndexByte(value, ' ') + 1 // label values may have spaces
		v, err := strconv.ParseFloat(value[i:], 64)
		if err != nil {
			return nil, err
		}
		sums[name] += int(v)
	}
	return sums, lines.Err()
}

// cpu is the CPU time that the process has used, threads that ended included.
func (t *task) cpu() (time.Duration, error) {
	const sched = 2 // CPUCLOCK_SCHED: the clock of a process is made of its id and this
	var at unix.Timespec
	if err := unix.ClockGettime(int32(^t.cmd.Process.Pid<<3|sched), &at); err != nil {
		return 0, fmt.Errorf("CPU time of %s: %w", filepath.Base(t.log), err)
	}
	return time.Duration(at.Nano()), nil
}

// memory is the most that was resident, in bytes.
func (t *task) memory() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", t.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(status), "VmHWM:")
	size, _, kilo := strings.Cut(rest, "kB")
	if !ok || !kilo {
		return 0, errors.New("/proc/PID/status has no VmHWM")
	}
	n, err := strconv.ParseInt(strings.TrimSpace(size), 10, 64)
	return n << 10, err
}
