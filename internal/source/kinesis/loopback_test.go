package kinesis

import (
	"context"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awstransport "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"weir/internal/awshttp"
	"weir/internal/awslocal"
)

// The same over real connections and in real time, as little as shows that the
// clients are put together well.
func TestOverLoopback(t *testing.T) {
	for name, change := range map[string]func(*Config){"polling": func(*Config) {}, "fan-out": fanned} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(awslocal.New(awslocal.Config{}))
			defer server.Close()
			cfg := awsConfig(awstransport.NewBuildableClient())
			cfg.BaseEndpoint = &server.URL
			w := &world{t: t, d: dynamodb.NewFromConfig(cfg), handled: make(map[int]int), marks: make(map[string]string)}
			// The writer needs our client, too, and no second try: one whose answer gets
			// lost puts the records twice.
			w.k = kinesis.NewFromConfig(cfg, func(o *kinesis.Options) {
				o.HTTPClient, o.Retryer = awshttp.New(cfg.HTTPClient), aws.NopRetryer{}
			})
			_, err := w.k.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: new("logs"), ShardCount: new(int32(4))})
			w.must(err)
			w.must(CreateLeaseTable(t.Context(), w.d, "leases"))
			in := &kinesis.PutRecordsInput{StreamName: new("logs")}
			for i := range 400 {
				data := []byte(strconv.Itoa(i + 1))
				in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: data, PartitionKey: new(string(data))})
			}
			_, err = w.k.PutRecords(t.Context(), in)
			w.must(err)
			w.put = len(in.Records)

			source := w.config(nil)
			source.AWS = cfg
			change(&source)
			s, err := New(source)
			w.must(err)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			err = s.Run(ctx, func(c context.Context, lines [][]byte, arrived []time.Time) error {
				err := w.note(c, lines, arrived)
				if lost, _ := w.audit(); lost == 0 {
					stop()
				}
				return err
			})
			w.must(err)
			w.wantAll(true) // in real time a slow machine may lose a subscription and read again
			for id, r := range w.rows() {
				if r.owner != "" || r.checkpoint == "" {
					t.Errorf("row of %s: %+v", id, r)
				}
			}
		})
	}
}
