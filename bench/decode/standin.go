package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	api "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"weir/internal/awslocal"
)

const streamName = "logs"

// serve is the stand-in's process: a stream with the made log, over and over, behind
// TLS and either version of HTTP, until in ends.
func serve(ctx context.Context, o options, in io.Reader, out io.Writer) error {
	server := awslocal.New(awslocal.Config{Kinesis: awslocal.KinesisConfig{Unlimited: true, Retention: 24 * time.Hour}})
	cfg := config(server.HTTPClient(), "http://in-process")
	c := api.NewFromConfig(cfg)
	if _, err := c.CreateStream(ctx, &api.CreateStreamInput{StreamName: aws.String(streamName), ShardCount: aws.Int32(int32(o.shards))}); err != nil {
		return err
	}
	if err := fill(ctx, c, o.records); err != nil {
		return fmt.Errorf("fill the stream: %w", err)
	}
	tls := httptest.NewUnstartedServer(server)
	tls.EnableHTTP2 = true
	tls.StartTLS()
	defer tls.Close()
	err := json.NewEncoder(out).Encode(place{
		Endpoint: tls.URL, CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw}),
	})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// fill puts records until there are n.
func fill(ctx context.Context, c *api.Client, n int) error {
	lines := madeLog()
	for n > 0 {
		for chunk := range slices.Chunk(lines[:min(n, len(lines))], 500) {
			put := &api.PutRecordsInput{StreamName: aws.String(streamName)}
			for i, line := range chunk {
				put.Records = append(put.Records, types.PutRecordsRequestEntry{Data: line, PartitionKey: aws.String(strconv.Itoa(n - i))})
			}
			if _, err := c.PutRecords(ctx, put); err != nil {
				return err
			}
			n -= len(chunk)
		}
	}
	return nil
}

func config(c aws.HTTPClient, endpoint string) aws.Config {
	return aws.Config{
		Region: "us-east-1", HTTPClient: c, BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}
}
