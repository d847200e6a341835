package kinesis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
	"github.com/segmentio/asm/base64"
)

// Decoder is a protocol for the SDK's Kinesis client (kinesis.Options.Protocol)
// that decodes the answers to GetRecords itself. The SDK's decoding makes a
// record cost several times what all of detection does: it undoes base64 byte by
// byte, computes times in big.Float, allocates each value, and drops every buffer
// above 64 KiB.
//
// Here an answer is read whole into memory that is used again, its records are
// found by one walk over the text (see scan), and their data are decoded in place.
// An answer that has anything unusual about it, such as an escape in a string,
// a member twice or the child shards at a shard's end, is handed to the SDK's
// decoding as it came. So are errors, and the answers to all other calls.
//
// The records of an answer, but for the text of their keys and sequence numbers,
// lie in the Decoder's memory: they are good until the next answer to GetRecords
// or [Decoder.Release]. A Decoder serves one call at a time.
type Decoder struct {
	*awsjson.Protocol
	page *page // of the latest answer; nil = none, or released
}

// sdk is the protocol that the SDK's client would use. It may be used by any
// number of goroutines, but for event streams; see tap.
var sdk = awsjson.New11(schemas.Kinesis_20131202)

// NewDecoder returns a Decoder. It costs nothing before it is used.
func NewDecoder() *Decoder { return &Decoder{Protocol: sdk} }

// Release ends the use of the latest answer's records, whose memory may be that of
// another Decoder's next answer.
func (d *Decoder) Release() {
	if d.page != nil {
		pages.Put(d.page)
		d.page = nil
	}
}

// DeserializeResponse is what the SDK calls it. Errors are of the SDK's types:
// what Kinesis says, or *smithy.DeserializationError when the body is cut short or
// is not what it should be.
func (d *Decoder) DeserializeResponse(
	ctx context.Context, op *smithy.OperationSchema, known *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable,
) (err error) {
	records, ok := out.(*kinesis.GetRecordsOutput)
	if !ok || resp.StatusCode < 200 || resp.StatusCode >= 300 {
		return d.Protocol.DeserializeResponse(ctx, op, known, resp, out)
	}
	if d.page == nil {
		d.page = pages.Get().(*page)
	}
	p := d.page
	if err := p.read(resp.Body, resp.ContentLength); err != nil {
		return &smithy.DeserializationError{Err: err}
	}
	if p.scan() {
		if err := p.decode(records); err != nil {
			return &smithy.DeserializationError{Err: err}
		}
		return nil
	}
	defer func() { // the SDK panics at a time that is "NaN"
		if v := recover(); v != nil {
			err = &smithy.DeserializationError{Err: fmt.Errorf("decoding panicked: %v", v)}
		}
	}()
	whole := *resp.Response
	whole.Body = io.NopCloser(bytes.NewReader(p.body))
	return d.Protocol.DeserializeResponse(ctx, op, known, &smithyhttp.Response{Response: &whole}, out)
}

// page is the memory of one answer.
type page struct {
	body  []byte
	found answer
	spans []spans // of the records

	records []types.Record
	arrived []time.Time // what the records point to
	texts   []string    // likewise
}

// pages are shared by all Decoders: shards that wait for their next read, as they
// do most of the time, need none.
var pages = sync.Pool{New: func() any { return new(page) }}

// foretold is how many bytes a Content-Length is believed to announce before they
// come. The largest answer has 10 MiB of data, a third more as base64, and keys.
const foretold = 16 << 20

// read reads a body to its end. The length may be -1, unknown.
func (p *page) read(body io.Reader, length int64) error {
	p.body = p.body[:0]
	if need := int(min(max(length, 0), foretold)) + 1; cap(p.body) < need { // a byte more, so that the end is seen
		p.body = make([]byte, 0, need+need/8)
	}
	for {
		n, err := body.Read(p.body[len(p.body):cap(p.body)])
		p.body = p.body[:len(p.body)+n]
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case len(p.body) == cap(p.body):
			p.body = append(p.body, 0)[:len(p.body)]
		}
	}
}

// decode makes out from what scan has found. The data are decoded where they lie,
// so it can be done once.
func (p *page) decode(out *kinesis.GetRecordsOutput) error {
	n := len(p.spans)
	if p.records == nil || len(p.records) < n {
		p.records, p.arrived, p.texts = make([]types.Record, n+n/8), make([]time.Time, n+n/8), make([]string, 2*(n+n/8))
	}
	size := 0
	for i := range p.spans {
		size += p.spans[i].key.len() + p.spans[i].number.len()
	}
	var text strings.Builder // one allocation for all of them: they may be kept
	text.Grow(size)
	cut := func(to *string, at span) *string {
		from := text.Len()
		text.Write(p.body[at.from:at.to])
		*to = text.String()[from:]
		return to
	}
	for i := range p.spans {
		s, r := &p.spans[i], &p.records[i]
		*r = types.Record{EncryptionType: s.encryption}
		if s.has&hasKey != 0 {
			r.PartitionKey = cut(&p.texts[2*i], s.key)
		}
		if s.has&hasNumber != 0 {
			r.SequenceNumber = cut(&p.texts[2*i+1], s.number)
		}
		if s.has&hasArrived != 0 {
			p.arrived[i] = time.UnixMilli(s.arrived).UTC()
			r.ApproximateArrivalTimestamp = &p.arrived[i]
		}
		if s.has&hasData != 0 {
			data, err := decodeInPlace(p.body[s.data.from:s.data.to])
			if err != nil {
				return fmt.Errorf("record %d: %w", i, err)
			}
			r.Data = data
		}
	}
	if p.found.has&hasRecords != 0 {
		out.Records = p.records[:n:n]
	}
	if p.found.has&hasBehind != 0 {
		behind := p.found.behind
		out.MillisBehindLatest = &behind
	}
	if p.found.has&hasNext != 0 {
		next := string(p.body[p.found.next.from:p.found.next.to])
		out.NextShardIterator = &next
	}
	return nil
}

var errBase64 = errors.New("data are not base64")

// decodeInPlace decodes padded standard base64 into its own memory. What it
// returns cannot grow into what follows.
//
// Decoders skip newlines, which JSON does not allow in a string. The length tells.
func decodeInPlace(text []byte) ([]byte, error) {
	want := len(text) / 4 * 3
	for i := len(text) - 1; i >= 0 && i >= len(text)-2 && text[i] == '='; i-- {
		want--
	}
	n, err := base64.StdEncoding.Decode(text, text)
	if err != nil || n != want || len(text)%4 != 0 {
		return nil, errBase64
	}
	return text[:n:n], nil
}
