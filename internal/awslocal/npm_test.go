package awslocal

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startNPM runs a server from npm ("dynalite@4.0.0") and returns its address,
// "http://127.0.0.1:PORT". It is stopped when the test ends. Where it cannot
// be had, the test is skipped and says why: these servers are a second opinion
// on our own stand-ins, not a part of them.
func startNPM(t *testing.T, module string, args ...string) string {
	t.Helper()
	if testing.Short() {
		t.Skipf("SKIPPED: no %s with -short", module)
	}
	npx, err := exec.LookPath("npx")
	if err != nil {
		t.Logf("the conformance suite did not run against %s", module)
		t.Skipf("SKIPPED: no npx: %v", err)
	}
	port := freePort(t)
	log := new(tail)
	// npx itself only starts the server, so both are put into a process group
	// of their own, which is ended as a whole.
	cmd := exec.Command(npx, append([]string{"--yes", module, "--port", strconv.Itoa(port)}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(os.Environ(), "npm_config_prefer_offline=true", "npm_config_fetch_retries=0",
		"npm_config_update_notifier=false", "npm_config_fund=false", "npm_config_audit=false")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Skipf("SKIPPED: start %s: %v", module, err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // how it ended is of no interest: it is killed
	}()
	stop := sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-exited // the log is complete
	})
	t.Cleanup(stop)
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	if !answers(t, url, exited) {
		stop()
		t.Logf("the conformance suite did not run against %s", module)
		t.Skipf("SKIPPED: %s does not answer (no registry?): %s", module, log)
	}
	return url
}

// answers waits until something speaks HTTP at url.
func answers(t *testing.T, url string, exited <-chan struct{}) bool {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: time.Second}
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(60 * time.Second) // the first time, npx downloads the module
	for {
		r, err := client.Get(url)
		if err == nil {
			r.Body.Close()
			return true
		}
		select {
		case <-poll.C:
		case <-exited:
			return false
		case <-deadline:
			return false
		}
	}
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// httpClient is a client for servers over a port, without the SDK's bug of
// closing a request's body under net/http's hands, which breaks connections to
// servers that answer quickly.
func httpClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 4}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: plainBodies{transport}}
}

type plainBodies struct{ next http.RoundTripper }

func (p plainBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r = r.Clone(r.Context())
		r.Body = struct{ io.ReadCloser }{r.Body} // hides that it can also write itself
	}
	return p.next.RoundTrip(r)
}

// tail keeps the end of a process's output.
type tail struct{ text []byte }

func (l *tail) Write(p []byte) (int, error) {
	const keep = 2000 // bytes
	l.text = append(l.text, p...)
	l.text = l.text[max(0, len(l.text)-keep):]
	return len(p), nil
}

func (l *tail) String() string { return strings.TrimSpace(string(l.text)) }
