package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awstransport "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	api "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"

	"weir/internal/source/kinesis"
)

// consume is the consumer's process: it reads the stream to its end, as the service
// does, and tells what the last three quarters have cost.
func consume(ctx context.Context, j job, out io.Writer) error {
	flow, err := newFlow(ctx)
	if err != nil {
		return err
	}
	defer flow.close()
	client, err := clientFor(j)
	if err != nil {
		return err
	}
	cfg := config(client, j.Endpoint)
	if j.Shipped {
		cfg.APIOptions = append(cfg.APIOptions, asShipped)
	}
	if err := kinesis.CreateLeaseTable(ctx, dynamodb.NewFromConfig(cfg), j.Leases); err != nil {
		return fmt.Errorf("lease table: %w", err)
	}
	source, err := kinesis.New(kinesis.Config{
		AWS: cfg, Stream: streamName, LeaseTable: j.Leases, Oldest: true, MaxRecords: j.Page,
	})
	if err != nil {
		return err
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	g := gauge{warm: j.Records / 4, all: j.Records, stop: stop}
	err = source.Run(reading, func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
		err := flow.Handle(ctx, lines, arrived)
		g.saw(len(lines))
		return err
	})
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(result{Records: g.measured, CPU: g.cost})
}

// gauge takes the CPU time from when the first records are done with to when all are.
type gauge struct {
	warm, all int
	stop      func()

	mu          sync.Mutex // shards hand over side by side
	seen        int
	from        int // how many had been seen when measuring began; 0 = it has not
	measured    int
	begun, cost int64
}

func (g *gauge) saw(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen += n
	if g.seen >= g.warm && g.from == 0 {
		runtime.GC()
		g.from, g.begun = g.seen, cpu()
	}
	if g.seen >= g.all && g.cost == 0 {
		g.cost, g.measured = cpu()-g.begun, g.seen-g.from
		g.stop()
	}
}

// theirs hides from Weir that an HTTP client is the SDK's, by which it stays what it
// is. Request bodies are wrapped all the same, or HTTP/1.1 would break.
type theirs struct{ *awstransport.BuildableClient }

func clientFor(j job) (aws.HTTPClient, error) {
	ca := x509.NewCertPool()
	if !ca.AppendCertsFromPEM(j.CA) {
		return nil, errors.New("the stand-in's certificate cannot be read")
	}
	c := awstransport.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
		tr.TLSClientConfig = &tls.Config{RootCAs: ca, MinVersion: tls.VersionTLS12}
	})
	if j.HTTP2 {
		return theirs{c}, nil
	}
	return c, nil
}

// asShipped has the SDK decode the answers to GetRecords, whatever protocol its
// client was given.
func asShipped(s *middleware.Stack) error {
	if s.ID() != "GetRecords" {
		return nil
	}
	const id = "OperationDeserializer" // the SDK's, which does the same with the client's protocol
	protocol := awsjson.New11(schemas.Kinesis_20131202)
	_, err := s.Deserialize.Swap(id, middleware.DeserializeMiddlewareFunc(id, func(
		ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
	) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, meta, err := next.HandleDeserialize(ctx, in)
		if err != nil {
			return out, meta, err
		}
		resp, ok := out.RawResponse.(*smithyhttp.Response)
		if !ok {
			return out, meta, fmt.Errorf("an answer of type %T", out.RawResponse)
		}
		defer resp.Body.Close()
		page := &api.GetRecordsOutput{}
		out.Result = page
		return out, meta, protocol.DeserializeResponse(ctx, getRecords, api.TypeRegistry, resp, page)
	}))
	return err
}
