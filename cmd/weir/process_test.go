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
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/awshttp"
)

// patience bounds every wait for another process. Nothing takes a tenth of it, but on a
// machine that is very busy.
const patience = 4 * time.Minute

// town is a set of stand-ins in a process of their own, and the means to run
// weir against them in others.
type town struct {
	t        *testing.T
	dir      string
	weir     string // the binary
	environ  []string
	endpoint string
	cloud    aws.Config
}

// newTown starts `weir local` with a stream and a web ACL, and bootstraps it.
func newTown(t *testing.T) *town {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &town{t: t, dir: t.TempDir()}
	w.weir = filepath.Join(w.dir, "weir")
	if err := os.Symlink(self, w.weir); err != nil {
		t.Fatal(err)
	}
	local := w.start("local", "-listen", "127.0.0.1:0", "-stream", "log:2", "-web-acl", "site")
	w.endpoint = strings.TrimPrefix(local.line(func(l string) bool { return strings.HasPrefix(l, "AWS_ENDPOINT_URL=") }), "AWS_ENDPOINT_URL=")
	w.environ = []string{
		"AWS_ENDPOINT_URL=" + w.endpoint, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x",
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"WEIR_KINESIS_STREAM=log", "WEIR_KINESIS_FAILOVER=3s", "WEIR_KINESIS_START=oldest", "WEIR_WAF_WRITES_PER_SECOND=1",
		"WEIR_CRAWLERS_REFRESH=false", "WEIR_CRAWLERS_DNS=false", // tests ask nobody
		"WEIR_API_LISTEN=127.0.0.1:0", "WEIR_BAN_FILE=" + filepath.Join(w.dir, "weir.db"),
		"WEIR_LOG_FIELDS=timestamp,c-ip,sc-status,cs-method,cs-host,cs-uri-stem,x-edge-request-id,cs-protocol-version,cs-user-agent",
	}
	w.cloud = aws.Config{
		Region: "us-east-1", BaseEndpoint: &w.endpoint, HTTPClient: awshttp.New(nil),
		Credentials: credentials.NewStaticCredentialsProvider("x", "x", ""),
	}
	if code := w.start("bootstrap", "-web-acl", "site").wait(); code != 0 {
		t.Fatalf("bootstrap: exit code %d", code)
	}
	return w
}

// process is one weir process.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	wg   sync.WaitGroup
	once sync.Once

	mu    sync.Mutex
	cond  *sync.Cond
	lines []string
	ended bool
}

func (w *town) start(args ...string) *process {
	w.t.Helper()
	p := &process{t: w.t, cmd: exec.Command(w.weir, args...)}
	p.cond = sync.NewCond(&p.mu)
	p.cmd.Env = append(slices.Clone(w.environ), "PATH="+os.Getenv("PATH"), "HOME="+w.dir)
	p.cmd.Dir = w.dir
	r, out, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	out.Close()
	p.wg.Go(func() { p.read(r) })
	w.t.Cleanup(func() {
		p.kill()
		if w.t.Failed() {
			w.t.Logf("weir %s:\n%s", strings.Join(args, " "), strings.Join(p.lines[max(0, len(p.lines)-60):], "\n"))
		}
	})
	return p
}

func (p *process) read(r io.ReadCloser) {
	defer r.Close()
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, sc.Text())
		p.mu.Unlock()
		p.cond.Broadcast()
	}
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.cond.Broadcast()
}

// line waits for a line of output.
func (p *process) line(want func(string) bool) string {
	p.t.Helper()
	stop := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer stop.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; ; {
		for ; i < len(p.lines); i++ {
			if want(p.lines[i]) {
				return p.lines[i]
			}
		}
		if p.ended {
			p.t.Fatalf("%v ended or took too long; its last lines:\n%s", p.cmd.Args, strings.Join(p.lines[max(0, len(p.lines)-20):], "\n"))
		}
		p.cond.Wait()
	}
}

// api waits until the service listens, and says where.
func (p *process) api() string {
	p.t.Helper()
	var started struct{ API string }
	l := p.line(func(l string) bool { return strings.Contains(l, `"msg":"started"`) })
	if err := json.Unmarshal([]byte(l), &started); err != nil {
		p.t.Fatal(err)
	}
	return "http://" + started.API
}

// kill is SIGKILL: the process gets no chance to tidy up.
func (p *process) kill() {
	p.once.Do(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.wg.Wait()
	})
}

// wait waits for the end and returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	stop := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer stop.Stop()
	p.once.Do(func() {
		p.cmd.Wait()
		p.wg.Wait()
	})
	return p.cmd.ProcessState.ExitCode()
}

// exploit is a request that bans its client all by itself.
func exploit(client string) []byte {
	return fmt.Appendf(nil, "%d.000\t%s\t404\tGET\twww.example.com\t/cgi-bin/luci/;stok=/locale\trequest-of-%s\tHTTP/1.1\tcurl/8", time.Now().Unix(), client, client)
}

// put puts one record for each client into the stream.
func (w *town) put(clients []string) {
	w.t.Helper()
	var entries []types.PutRecordsRequestEntry
	for _, c := range clients {
		entries = append(entries, types.PutRecordsRequestEntry{Data: exploit(c), PartitionKey: aws.String(c)})
	}
	out, err := kinesis.NewFromConfig(w.cloud).PutRecords(w.t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("log"), Records: entries})
	if err != nil {
		w.t.Fatal(err)
	}
	if *out.FailedRecordCount > 0 {
		w.t.Fatalf("%d records were not put", *out.FailedRecordCount)
	}
}

// banned asks the service which clients it shows as banned.
func banned(ctx context.Context, api string) ([]string, error) {
	var all []string
	for cursor := ""; ; {
		query := url.Values{"limit": {"500"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/api/v1/decisions?"+query.Encode(), nil)
		if err != nil {
			return nil, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, err
		}
		var page struct {
			Decisions []struct{ Value string }
			Next      string
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", resp.Status, body)
		}
		if err == nil {
			err = json.Unmarshal(body, &page)
		}
		if err != nil {
			return nil, err
		}
		for _, d := range page.Decisions {
			all = append(all, d.Value)
		}
		if cursor = page.Next; cursor == "" {
			return all, nil
		}
	}
}

// enforced reads what the IP sets hold.
func (w *town) enforced() map[string]bool {
	w.t.Helper()
	client := wafv2.NewFromConfig(w.cloud)
	list, err := client.ListIPSets(w.t.Context(), &wafv2.ListIPSetsInput{Scope: waftypes.ScopeCloudfront})
	if err != nil {
		w.t.Fatal(err)
	}
	held := map[string]bool{}
	for _, s := range list.IPSets {
		set, err := client.GetIPSet(w.t.Context(), &wafv2.GetIPSetInput{Scope: waftypes.ScopeCloudfront, Id: s.Id, Name: s.Name})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, a := range set.IPSet.Addresses {
			held[strings.TrimSuffix(a, "/32")] = true
		}
	}
	return held
}

// addByHand puts an address into the first IPv4 set, as a person would at the
// console. The service may write at the same moment, and then it is tried again.
func (w *town) addByHand(address string) {
	w.t.Helper()
	client := wafv2.NewFromConfig(w.cloud)
	eventually(w.t, "an address is added by hand", func() bool {
		list, err := client.ListIPSets(w.t.Context(), &wafv2.ListIPSetsInput{Scope: waftypes.ScopeCloudfront})
		if err != nil {
			w.t.Fatal(err)
		}
		s := list.IPSets[slices.IndexFunc(list.IPSets, func(s waftypes.IPSetSummary) bool { return *s.Name == "weir-block-v4-0" })]
		set, err := client.GetIPSet(w.t.Context(), &wafv2.GetIPSetInput{Scope: waftypes.ScopeCloudfront, Id: s.Id, Name: s.Name})
		if err != nil {
			w.t.Fatal(err)
		}
		_, err = client.UpdateIPSet(w.t.Context(), &wafv2.UpdateIPSetInput{
			Scope: waftypes.ScopeCloudfront, Id: s.Id, Name: s.Name, Description: set.IPSet.Description,
			Addresses: append(set.IPSet.Addresses, address+"/32"), LockToken: set.LockToken,
		})
		var conflict *waftypes.WAFOptimisticLockException
		if err != nil && !errors.As(err, &conflict) {
			w.t.Fatal(err)
		}
		return err == nil
	})
}

// eventually asks again and again, within patience.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// A service that is killed in the middle loses no ban that it showed and no
// record: each client here makes one request, which bans it.
func TestKillAndRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	w := newTown(t)
	var all []string
	wave := func(n int) {
		var clients []string
		for i := range 200 {
			// Each in a network of its own, which else would be banned as a whole.
			clients = append(clients, fmt.Sprintf("45.%d.%d.1", 10+n, i))
		}
		w.put(clients)
		all = append(all, clients...)
	}

	// What people put into the sets by hand is to stay, whenever they do.
	byHand := []string{"60.0.0.1", "60.0.0.2", "60.0.0.3"}
	w.addByHand(byHand[0])
	first := w.start("run")
	api := first.api()
	wave(0)
	var shown []string
	look := func() int {
		var err error
		if shown, err = banned(t.Context(), api); err != nil {
			t.Fatal(err)
		}
		return len(shown)
	}
	eventually(t, "the first wave is banned", func() bool { return look() >= 200 })
	w.addByHand(byHand[1])
	// Killed with one wave just read and another on its way.
	wave(1)
	eventually(t, "a ban of the second wave", func() bool { return look() > 200 })
	wave(2)
	look()
	first.kill()
	w.addByHand(byHand[2])
	before := w.enforced()

	second := w.start("run")
	api = second.api()
	wave(3)
	kept, err := banned(t.Context(), api)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range shown {
		if !slices.Contains(kept, c) {
			t.Fatalf("%s was shown as banned before the kill and is not after it", c)
		}
	}
	eventually(t, "every client of every wave is in an IP set", func() bool {
		held := w.enforced()
		for c := range before {
			if !held[c] {
				t.Fatalf("%s was in an IP set before the kill and was taken out", c)
			}
		}
		for _, c := range all {
			if !held[c] {
				return false
			}
		}
		return true
	})

	begun := time.Now()
	if err := second.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := second.wait(); code != 0 {
		t.Errorf("SIGTERM: exit code %d", code)
	}
	t.Logf("stopped in %s", time.Since(begun).Round(time.Millisecond))
	held := w.enforced()
	for _, c := range append(all, byHand...) {
		if !held[c] {
			t.Fatalf("%s is in no IP set after the stop", c)
		}
	}
}

// A second service stands by: it reads nothing and writes no IP set, since it
// knows nothing of what the first decided. When the first is killed it takes over
// and keeps what the sets hold.
func TestStandby(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	w := newTown(t)
	first := w.start("run")
	api := first.api()
	w.put([]string{"45.9.0.1", "45.9.0.2", "45.9.0.3"})
	eventually(t, "three bans are in the IP sets", func() bool {
		held := w.enforced()
		return held["45.9.0.1"] && held["45.9.0.2"] && held["45.9.0.3"]
	})

	second := w.start("run", "-ban-file", filepath.Join(w.dir, "second.db"), "-waf-drift", "10s")
	standby := second.api()
	eventually(t, "the second service says that it stands by", func() bool {
		return strings.Contains(w.get(standby+"/readyz"), "standing by")
	})
	ask := w.start("reconcile", "-diff", "-api", standby)
	ask.line(func(l string) bool { return strings.Contains(l, "default: this process stands by") })
	if code := ask.wait(); code != exitFailed {
		t.Errorf("a standby is asked for differences: exit code %d, want %d", code, exitFailed)
	}
	ask = w.start("flush", "-origin", "manual", "-api", standby)
	ask.line(func(l string) bool { return strings.Contains(l, "this process stands by") })
	if code := ask.wait(); code != exitFailed {
		t.Errorf("a standby is asked to unban: exit code %d, want %d", code, exitFailed)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, api+"/api/v1/decisions?client=45.9.0.2", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	eventually(t, "the unban reaches the IP set", func() bool { return !w.enforced()["45.9.0.2"] })
	if shown, err := banned(t.Context(), standby); err != nil || len(shown) > 0 {
		t.Errorf("the standby shows %v, %v; it has decided nothing", shown, err)
	}
	if !strings.Contains(w.get(standby+"/readyz"), "standing by") {
		t.Error("the standby is none any more while the first service lives")
	}

	first.kill()
	w.put([]string{"45.9.0.4"})
	eventually(t, "the second service bans after the first was killed", func() bool { return w.enforced()["45.9.0.4"] })
	held := w.enforced()
	if !held["45.9.0.1"] || !held["45.9.0.3"] || held["45.9.0.2"] {
		t.Errorf("after the change of hands the sets hold %v", held)
	}
}

// get is the body of what an address answers, whatever the status.
func (w *town) get(address string) string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(body)
}
