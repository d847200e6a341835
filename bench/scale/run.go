package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/awslocal"
)

// A row is what a case came to.
type row struct {
	name      string
	records   int
	perSecond float64
	cpu       float64 // nanoseconds a record
	rss       int64   // bytes, the most
}

// patience bounds every wait for another process.
const patience = 10 * time.Minute

// best runs a case a few times and returns the cheapest.
func (w *workload) best(binary, dir string, records, rounds int) (best *row, err error) {
	for i := range rounds {
		home := filepath.Join(dir, fmt.Sprintf("%s-%d", strings.ReplaceAll(w.name, " ", "-"), i))
		r, err := w.run(binary, home, records)
		if err != nil {
			return nil, err
		}
		if best == nil || r.cpu < best.cpu {
			best = r
		}
	}
	return best, nil
}

func (w *workload) run(binary, dir string, records int) (_ *row, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	server := awslocal.New(awslocal.Config{Kinesis: awslocal.KinesisConfig{Unlimited: true}})
	if err := w.fill(server, records); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	web := &http.Server{Handler: server, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- web.Serve(ln) }()
	defer func() {
		web.Close()
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}()
	environ := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x", "AWS_ENDPOINT_URL=http://" + ln.Addr().String(),
		"AWS_REGION=us-east-1", "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"WEIR_KINESIS_STREAM=log", "WEIR_KINESIS_START=oldest", "WEIR_KINESIS_MAX_RECORDS=10000", "WEIR_BAN_FILE=" + filepath.Join(dir, "weir.db"),
		"WEIR_CRAWLERS_REFRESH=false", "WEIR_CRAWLERS_DNS=false", "WEIR_API_LISTEN=127.0.0.1:0", "WEIR_STATE_MEMORY=2GiB",
		"WEIR_LOG_FIELDS=" + strings.Join(w.fields(), ","),
	}
	boot := exec.Command(binary, "bootstrap", "-web-acl", "site")
	boot.Env = environ
	if out, err := boot.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("weir bootstrap: %w\n%s", err, out)
	}
	p, err := start(binary, environ)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	return p.measure(w.name, records)
}

// fill makes the stream and puts all records into it, the same number into each shard.
func (w *workload) fill(server *awslocal.Server, records int) error {
	cloud := aws.Config{Region: "us-east-1", HTTPClient: server.HTTPClient(), Credentials: credentials.NewStaticCredentialsProvider("x", "x", "")}
	api, ctx := kinesis.NewFromConfig(cloud), context.Background()
	if _, err := api.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("log"), ShardCount: aws.Int32(int32(w.shards))}); err != nil {
		return err
	}
	_, err := wafv2.NewFromConfig(cloud).CreateWebACL(ctx, &wafv2.CreateWebACLInput{
		Name: aws.String("site"), Scope: waftypes.ScopeCloudfront, DefaultAction: &waftypes.DefaultAction{Allow: &waftypes.AllowAction{}},
		VisibilityConfig: &waftypes.VisibilityConfig{CloudWatchMetricsEnabled: true, SampledRequestsEnabled: true, MetricName: aws.String("site")},
	})
	if err != nil {
		return err
	}
	var entries []types.PutRecordsRequestEntry
	put := func() error {
		if len(entries) == 0 {
			return nil
		}
		_, err := api.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String("log"), Records: entries})
		entries = entries[:0]
		return err
	}
	var data []byte
	lines, n := 0, 0
	end := func() error {
		entries = append(entries, types.PutRecordsRequestEntry{Data: data, PartitionKey: aws.String(strconv.Itoa(n))})
		data, lines, n = nil, 0, n+1
		if len(entries) == 500 {
			return put()
		}
		return nil
	}
	err = w.make(records, func(line []byte) error {
		if lines > 0 {
			data = append(data, '\n')
		}
		data = append(data, line...)
		if lines++; lines < w.perRecord() {
			return nil
		}
		return end()
	})
	if err == nil && lines > 0 {
		err = end()
	}
	return errors.Join(err, put())
}

// A process is weir at work.
type process struct {
	cmd  *exec.Cmd
	api  string
	done chan struct{}
}

func start(binary string, environ []string) (*process, error) {
	p := &process{cmd: exec.Command(binary, "run"), done: make(chan struct{})}
	p.cmd.Env = environ
	out, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	const key = `"api":"`
	var said strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if i := strings.Index(lines.Text(), key); i >= 0 {
			p.api, _, _ = strings.Cut(lines.Text()[i+len(key):], `"`)
			break
		}
	}
	if p.api == "" {
		p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		return nil, fmt.Errorf("weir run did not start:\n%s", &said)
	}
	go func() {
		defer close(p.done)
		_, _ = io.Copy(io.Discard, out)
	}()
	return p, nil
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.done
	_ = p.cmd.Wait()
}

// measure waits until all records are counted, and takes the times of the last four
// fifths.
func (p *process) measure(name string, records int) (*row, error) {
	tick := time.NewTicker(250 * time.Millisecond) // a scrape costs CPU, too
	defer tick.Stop()
	r := &row{name: name}
	var from, begun, cpu int
	var at time.Time
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		n, err := p.handled()
		if err != nil {
			return nil, err
		}
		used, rss, err := p.usage()
		if err != nil {
			return nil, err
		}
		r.rss = max(r.rss, rss)
		if from == 0 && n >= records/5 {
			from, begun, at = n, used, time.Now()
		}
		if n >= records {
			cpu = used
			r.records = n - from
			r.perSecond = float64(r.records) / time.Since(at).Seconds()
			r.cpu = float64(cpu-begun) / float64(r.records)
			return r, nil
		}
	}
	return nil, fmt.Errorf("after %v not all of %d records are handled", patience, records)
}

// handled asks for the lines that were read.
func (p *process) handled() (int, error) {
	resp, err := http.Get("http://" + p.api + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), "weir_pipeline_lines_total "); ok {
			n, err := strconv.ParseFloat(v, 64)
			return int(n), err
		}
	}
	return 0, errors.New("there is no weir_pipeline_lines_total")
}

// ticksPerSecond is the unit of CPU time in /proc, USER_HZ on every Linux that Go runs on.
const ticksPerSecond = 100

// usage returns the CPU time that the process has used, in nanoseconds, and its
// resident memory in bytes.
func (p *process) usage() (cpu int, rss int64, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // behind the name
	f := strings.Fields(rest)
	if len(f) < 22 {
		return 0, 0, errors.New("/proc/PID/stat is short")
	}
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	pages, err3 := strconv.ParseInt(f[21], 10, 64)
	return (user + system) * int(time.Second/ticksPerSecond), pages * int64(os.Getpagesize()), errors.Join(err1, err2, err3)
}
