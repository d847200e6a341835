package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"

	"weir/internal/source/kinesis"
)

// A row is one way of dealing with bodies.
type row struct {
	name string
	over func(body []byte) error
	ns   []float64 // CPU a record, by round
	each float64   // allocations a record, of the latest round
}

// pageSize is how many records an answer has: as many as the service asks for
// unless told otherwise.
const pageSize = 3000

// The bar, for a body to decisions over the SDK's decoding alone.
const barPass, barStretch = 0.33, 0.18

// measureBody prints what decoding costs, and a body all the way to decisions.
func measureBody(ctx context.Context, rounds int) error {
	lines := madeLog()
	warm, measured := pagesOf(lines[:len(lines)/2]), pagesOf(lines[len(lines)/2:])
	records := 0
	for _, p := range measured {
		records += p.records
	}
	fmt.Printf("%d records in answers of %d, %d bytes of body a record, %s, GOMAXPROCS %d\n\n",
		records, pageSize, len(measured[0].body)/measured[0].records, runtime.Version(), runtime.GOMAXPROCS(0))

	ours, theirs := kinesis.NewDecoder(), awsjson.New11(schemas.Kinesis_20131202)
	var flow *flow
	handled := func(p smithyhttp.ClientProtocol) func([]byte) error {
		var d batch
		return func(body []byte) error {
			out, err := decode(ctx, p, body)
			if err != nil {
				return err
			}
			return flow.Handle(ctx, d.of(out), d.arrived)
		}
	}
	alone := func(p smithyhttp.ClientProtocol) func([]byte) error {
		return func(body []byte) error {
			_, err := decode(ctx, p, body)
			return err
		}
	}
	sdk := &row{name: "SDK: decoding", over: alone(theirs)}
	decoding := &row{name: "Weir: decoding", over: alone(ours)}
	sdkWhole := &row{name: "SDK: body to decisions", over: handled(theirs)}
	whole := &row{name: "Weir: body to decisions", over: handled(ours)}
	rows := []*row{sdk, decoding, sdkWhole, whole}
	for range rounds {
		for _, r := range rows {
			var err error
			if flow, err = newFlow(ctx); err != nil {
				return err
			}
			err = r.measure(warm, measured, records)
			flow.close()
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "without a network\tns a record\tx the SDK's decoding\tallocations a record\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%.0f\t%.2f\t%.2f\t\n", r.name, median(r.ns), ratio(r.ns, sdk.ns), r.each)
	}
	w.Flush()
	got, verdict := ratio(whole.ns, sdk.ns), "FAIL"
	switch {
	case got <= barStretch:
		verdict = "stretch"
	case got <= barPass:
		verdict = "pass"
	}
	fmt.Printf("\nbody to decisions / the SDK's decoding alone: %.2f, %s (<= %.2f, stretch %.2f); with the SDK's decoding %.2f\n\n",
		got, verdict, barPass, barStretch, ratio(sdkWhole.ns, sdk.ns))
	return nil
}

// measure takes the CPU time of one round, after a run over other bodies.
func (r *row) measure(warm, measured []answer, records int) error {
	var before, after runtime.MemStats
	var begun int64
	for i, part := range [][]answer{warm, measured} {
		if i == 1 {
			runtime.GC()
			runtime.ReadMemStats(&before)
			begun = cpu()
		}
		for _, p := range part {
			if err := r.over(p.body); err != nil {
				return err
			}
		}
	}
	r.ns = append(r.ns, float64(cpu()-begun)/float64(records))
	runtime.ReadMemStats(&after)
	r.each = float64(after.Mallocs-before.Mallocs) / float64(records)
	return nil
}

// decode does with a body what the SDK's client does once it has the answer's head.
func decode(ctx context.Context, p smithyhttp.ClientProtocol, body []byte) (*api.GetRecordsOutput, error) {
	out := &api.GetRecordsOutput{}
	resp := &smithyhttp.Response{Response: &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}}
	return out, p.DeserializeResponse(ctx, getRecords, api.TypeRegistry, resp, out)
}

var getRecords = smithy.NewOperationSchema(schemas.GetRecords, schemas.GetRecordsInput, schemas.GetRecordsOutput)

// batch is the memory of what a source hands over.
type batch struct {
	lines   [][]byte
	arrived []time.Time
}

func (b *batch) of(out *api.GetRecordsOutput) [][]byte {
	b.lines, b.arrived = b.lines[:0], b.arrived[:0]
	for i := range out.Records {
		b.lines = append(b.lines, out.Records[i].Data)
		b.arrived = append(b.arrived, aws.ToTime(out.Records[i].ApproximateArrivalTimestamp))
	}
	return b.lines
}

// An answer is the body of one, as Kinesis writes it.
type answer struct {
	body    []byte
	records int
}

func pagesOf(lines [][]byte) (pages []answer) {
	dice := rand.New(rand.NewPCG(1, 1))
	for chunk := range slices.Chunk(lines, pageSize) {
		var b bytes.Buffer
		fmt.Fprintf(&b, `{"MillisBehindLatest":2100,"NextShardIterator":"%s","Records":[`, strings.Repeat("A", 224))
		for i, line := range chunk {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"ApproximateArrivalTimestamp":1.7723%09dE9,"Data":"%s","PartitionKey":"%s","SequenceNumber":"4959033827149025660855969253%028d"}`,
				dice.IntN(1e9), base64.StdEncoding.EncodeToString(line), strconv.FormatUint(dice.Uint64(), 16), i)
		}
		b.WriteString("]}")
		pages = append(pages, answer{b.Bytes(), len(chunk)})
	}
	return pages
}

// ratio is the median of the rounds' ratios: what slowed one round slowed both.
func ratio(a, b []float64) float64 {
	ratios := make([]float64, len(a))
	for i := range ratios {
		ratios[i] = a[i] / b[i]
	}
	return median(ratios)
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
