package main

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

// The streams: CloudFront's, and the one between tasks.
const (
	logStream   = "log"
	eventStream = "events"
)

// build makes the streams and a web ACL.
func (w *workload) build(ctx context.Context, cloud aws.Config) error {
	api := kinesis.NewFromConfig(cloud)
	for name, shards := range map[string]int{logStream: w.shards, eventStream: w.between} {
		if shards == 0 {
			continue
		}
		if _, err := api.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(int32(shards))}); err != nil {
			return err
		}
	}
	_, err := wafv2.NewFromConfig(cloud).CreateWebACL(ctx, &wafv2.CreateWebACLInput{
		Name: aws.String("site"), Scope: waftypes.ScopeCloudfront, DefaultAction: &waftypes.DefaultAction{Allow: &waftypes.AllowAction{}},
		VisibilityConfig: &waftypes.VisibilityConfig{CloudWatchMetricsEnabled: true, SampledRequestsEnabled: true, MetricName: aws.String("site")},
	})
	return err
}

// fill puts all lines into the stream, about the same number into each shard, and returns how
// many bytes they are in answers of Kinesis.
func (w *workload) fill(ctx context.Context, cloud aws.Config, lines int) (size int, err error) {
	api := kinesis.NewFromConfig(cloud)
	var entries []types.PutRecordsRequestEntry
	put := func() error {
		if len(entries) == 0 {
			return nil
		}
		_, err := api.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String(logStream), Records: entries})
		entries = entries[:0]
		return err
	}
	var data []byte
	in, n := 0, 0 // lines in the record at hand, and records
	end := func() error {
		entries = append(entries, types.PutRecordsRequestEntry{Data: data, PartitionKey: aws.String(strconv.Itoa(n))})
		size += base64.StdEncoding.EncodedLen(len(data))
		data, in, n = nil, 0, n+1
		if len(entries) == 500 {
			return put()
		}
		return nil
	}
	err = w.make(lines, func(line []byte) error {
		if in > 0 {
			data = append(data, '\n')
		}
		data = append(data, line...)
		if in++; in < w.perRecord() {
			return nil
		}
		return end()
	})
	if err == nil && in > 0 {
		err = end()
	}
	return size, errors.Join(err, put())
}
