package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"weir/internal/awslocal"
	"weir/internal/cloudfront"
	"weir/internal/source/file"
	"weir/internal/traffic"
)

// putLimit is the most records that one PutRecords call takes.
const putLimit = 500

// putTraffic puts records into the stream until ctx ends or the log is read. A
// ctx that ends is the ordinary end and no error.
func (d *demo) putTraffic(ctx context.Context) error {
	p := &putter{client: kinesis.NewFromConfig(standInAWS(d.server)), put: func(n int) { d.put.Add(int64(n)) }}
	var err error
	if d.opt.log != "" {
		err = d.playLog(ctx, p)
	} else {
		err = d.playMix(ctx, p)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// playMix makes traffic on the clock of the wall. The web ACL is asked about
// each request, and answers the banned ones itself.
func (d *demo) playMix(ctx context.Context, p *putter) error {
	spread := d.opt.length / 2
	if !d.opt.once {
		spread = min(spread, 20*time.Second)
	}
	d.mix = traffic.New(traffic.Config{
		Seed: d.opt.seed, Start: time.Now(), Rate: d.opt.rate,
		Spread: min(spread, 25*time.Second), Waves: !d.opt.once, Verdict: d.verdict,
	})
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			d.mix.Until(now, p.add)
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// verdict asks the web ACL about a request, as the edge would.
func (d *demo) verdict(addr netip.Addr, at time.Time) int {
	v := d.server.WAF().Evaluate(awslocal.ScopeCloudFront, demoWebACL, addr, at)
	if v.Action != "block" {
		return 0
	}
	d.blocked.Add(1)
	return v.Status
}

// playLog puts the lines of a log into the stream at the chosen rate.
func (d *demo) playLog(ctx context.Context, p *putter) error {
	start, sent := time.Now(), 0
	return file.New(d.opt.log).Run(ctx, func(ctx context.Context, lines [][]byte, _ []time.Time) error {
		for _, line := range lines {
			p.add(shiftLine(line, d.shift))
			if sent++; len(p.batch) < putLimit && sent%int(d.opt.rate/20+1) != 0 {
				continue
			}
			if err := p.flush(ctx); err != nil {
				return err
			}
			due := start.Add(time.Duration(float64(sent) / d.opt.rate * float64(time.Second)))
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Until(due)):
			}
		}
		return p.flush(ctx)
	})
}

// shiftToNow is how far the times of a log have to be moved so that it ends
// now. A ban is not made when it would be over by now, so an old log, played as
// it is, would ban nobody.
func shiftToNow(ctx context.Context, name string) (time.Duration, error) {
	var newest time.Time
	err := file.New(name).Run(ctx, func(_ context.Context, lines [][]byte, _ []time.Time) error {
		for _, line := range lines {
			if at, _, ok := cutTime(line); ok && at.After(newest) {
				newest = at
			}
		}
		return nil
	})
	if err == nil && newest.IsZero() {
		err = fmt.Errorf("%s: no line begins with a time, as real-time records do", name)
	}
	return time.Since(newest).Round(time.Millisecond), err
}

// shiftLine moves the time of a record; a line that has none stays as it is.
func shiftLine(line []byte, by time.Duration) []byte {
	at, rest, ok := cutTime(line)
	if !ok {
		return line
	}
	ms := at.Add(by).UnixMilli()
	return append(fmt.Appendf(nil, "%d.%03d", ms/1000, ms%1000), rest...)
}

// cutTime reads the first column of a record, which is its time in any field
// list, and gives what follows it.
func cutTime(line []byte) (at time.Time, rest []byte, ok bool) {
	tab := bytes.IndexByte(line, '\t')
	if tab < 0 {
		return time.Time{}, nil, false
	}
	seconds, err := strconv.ParseFloat(string(line[:tab]), 64)
	if err != nil || seconds < 1e9 || seconds > 4e9 {
		return time.Time{}, nil, false
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000))), line[tab:], true
}

// putter collects records and puts them into the stream, with a partition key
// that spreads them over all shards, as CloudFront's does for all we know.
type putter struct {
	client *kinesis.Client
	put    func(n int)
	batch  []types.PutRecordsRequestEntry
	key    int
}

func (p *putter) add(line []byte) {
	p.key++
	p.batch = append(p.batch, types.PutRecordsRequestEntry{
		Data: bytes.Clone(line), PartitionKey: aws.String(strconv.Itoa(p.key)),
	})
}

// flush puts what was collected; records that the stream refuses, because a
// shard is at its limit, are put again.
func (p *putter) flush(ctx context.Context) error {
	for len(p.batch) > 0 {
		n := min(len(p.batch), putLimit)
		out, err := p.client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String(demoStream), Records: p.batch[:n]})
		if err != nil {
			return fmt.Errorf("put records: %w", err)
		}
		var refused []types.PutRecordsRequestEntry
		for i, r := range out.Records {
			if r.ErrorCode != nil {
				refused = append(refused, p.batch[i])
			}
		}
		p.put(n - len(refused))
		p.batch = append(refused, p.batch[n:]...)
		if len(refused) > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

// fieldList writes fields as WEIR_LOG_FIELDS takes them.
func fieldList(fields []cloudfront.Field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.String()
	}
	return strings.Join(names, ",")
}
