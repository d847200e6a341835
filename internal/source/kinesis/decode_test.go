package kinesis

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"pgregory.net/rapid"
)

// through decodes an answer with a protocol, as the SDK's client does. A panic of the
// SDK's is an error.
func through(p smithyhttp.ClientProtocol, status int, body io.Reader, length int64) (_ *kinesis.GetRecordsOutput, err error) {
	if p == sdk {
		defer func() {
			if v := recover(); v != nil {
				err = &smithy.DeserializationError{Err: fmt.Errorf("%v", v)}
			}
		}()
	}
	op := smithy.NewOperationSchema(schemas.GetRecords, schemas.GetRecordsInput, schemas.GetRecordsOutput)
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(body), ContentLength: length}
	out := &kinesis.GetRecordsOutput{}
	err = p.DeserializeResponse(context.Background(), op, kinesis.TypeRegistry, &smithyhttp.Response{Response: resp}, out)
	return out, err
}

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// sameAsSDK holds what a Decoder makes of an answer against what the SDK does.
func sameAsSDK(t failer, d *Decoder, status int, body string) {
	t.Helper()
	want, wantErr := through(sdk, status, strings.NewReader(body), int64(len(body)))
	for _, length := range []int64{int64(len(body)), -1} {
		got, err := through(d, status, strings.NewReader(body), length)
		switch {
		case kindOf(err) != kindOf(wantErr):
			t.Fatalf("%q:\n got error %v\nwant error %v", body, err, wantErr)
		case err == nil && !reflect.DeepEqual(got, want):
			t.Fatalf("%q:\n got %s\nwant %s", body, show(got), show(want))
		}
	}
}

// kindOf is what callers can tell errors apart by.
func kindOf(err error) string {
	var damaged *smithy.DeserializationError
	var api smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &damaged):
		return "damaged"
	case errors.As(err, &api):
		return fmt.Sprintf("%T %s", api, api.ErrorMessage())
	}
	return err.Error()
}

func show(out *kinesis.GetRecordsOutput) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s behind %d, children %v, %d records", aws.ToString(out.NextShardIterator), aws.ToInt64(out.MillisBehindLatest), out.ChildShards, len(out.Records))
	for _, r := range out.Records {
		fmt.Fprintf(&b, "\n\t%q %s %q %q %q", r.Data, aws.ToTime(r.ApproximateArrivalTimestamp), aws.ToString(r.PartitionKey), aws.ToString(r.SequenceNumber), r.EncryptionType)
	}
	return b.String()
}

const (
	plainRecord = `{"Data":"aGVsbG8gd29ybGQ=","PartitionKey":"k","ApproximateArrivalTimestamp":1.441215410867E9,"SequenceNumber":"21269319989652663814458848515492872193"}`
	plainAnswer = `{"MillisBehindLatest":2100,"NextShardIterator":"AAAA+/=","Records":[` + plainRecord + `,{"EncryptionType":"KMS","Data":"","SequenceNumber":"2","PartitionKey":"","ApproximateArrivalTimestamp":1441215410.867}]}`
)

// usual answers must not need the SDK's decoding.
var usual = []string{
	plainAnswer,
	`{"Records":[],"NextShardIterator":null,"MillisBehindLatest":0}`,
	`{"MillisBehindLatest":0}`,
	`{}`,
	" {\n\t\"Records\" : [ " + plainRecord + " ,\r\n" + plainRecord + " ] , \"MillisBehindLatest\" : 0 } ",
	`{"Records":[{"New":"member","Other":12.5e3,"Flag":true,"Unset":null,"Off":false,"Data":"QUJD","EncryptionType":"NONE"}],"Version":"2"}`,
	`{"Records":[{"ApproximateArrivalTimestamp":1441215410}]}`,
	`{"Records":[{}]} and more`,
	`{"NextShardIterator":null,"NextShardIterator":"n"}`,
	`{"Records":[{"PartitionKey":"schlüssel ` + "\xff" + ` key"}]}`,
}

var unusual = []string{
	``, ` `, `null`, `[]`, `7`, `"x"`, `{`, `{"`, `{"Records"`, `{"Records":`, `{"Records":[`, `{"Records":[{`, `{"Records":null}`,
	`{"Records":[null]}`, `{"Records":[{},null,{}]}`, `{"Records":[{},]}`, `{"Records":[,{}]}`, `{"Records":[{} {}]}`, `{,}`, `{"a":1,}`,
	`{"Records":[{"Data":null,"PartitionKey":null,"SequenceNumber":null,"ApproximateArrivalTimestamp":null,"EncryptionType":null}]}`,
	`{"Records":[{"Data":"QUJD","Data":"REVG"}]}`, `{"Records":[{"Data":"QUJD"}],"Records":[]}`, `{"Records":[{"Data":"Q*JD"}],"Records":[]}`,
	`{"NextShardIterator":"n","NextShardIterator":null}`, `{"MillisBehindLatest":1,"MillisBehindLatest":2}`,
	`{"Records":[{"Data":"QUJ"}]}`, `{"Records":[{"Data":"QUI"}]}`, `{"Records":[{"Data":"QQ=="},{"Data":"QR=="}]}`, `{"Records":[{"Data":"Q==="}]}`,
	`{"Records":[{"Data":"===="}]}`, `{"Records":[{"Data":"QUJD===="}]}`, `{"Records":[{"Data":"QU-_"}]}`, "{\"Records\":[{\"Data\":\"QUJD\nREVG\"}]}",
	"{\"Records\":[{\"Data\":\"QUJD\\nREVG\"}]}", "{\"Records\":[{\"Data\":\"QUJD\n\r\n\r\"}]}", "{\"Records\":[{\"Data\":\"QQ=\n=\"}]}", "{\"Records\":[{\"Data\":\"QUJDRA==\n\n\n\n\"}]}",
	`{"Records":[{"Data":"\u0051UJD"}]}`, `{"Records":[{"Data":"AA\/\/"}]}`, `{"Records":[{"Data":"AA\"`, `{"Records":[{"Data":7}]}`, `{"Records":[{"Data":{}}]}`,
	`{"Records":[{"\u0044ata":"QUJD"}]}`, `{"Records":[{"data":"QUJD"}]}`, `{"Records":[{"PartitionKey":"a\"b\u00e4\ud83d"}]}`, "{\"Records\":[{\"PartitionKey\":\"a\x01b\"}]}",
	"{\"Records\":[{\"PartitionKey\":\"a\x7f\x80b\"}]}", `{"Records":[{"PartitionKey":5}]}`, `{"Records":[{"EncryptionType":"ROT13"}]}`, `{"Records":[{"EncryptionType":""}]}`,
	`{"Records":[{"ApproximateArrivalTimestamp":"NaN"}]}`, `{"Records":[{"ApproximateArrivalTimestamp":"1441215410"}]}`, `{"Records":[{"ApproximateArrivalTimestamp":-1.5}]}`,
	`{"Records":[{"ApproximateArrivalTimestamp":1e400}]}`, `{"Records":[{"ApproximateArrivalTimestamp":1e18}]}`, `{"Records":[{"ApproximateArrivalTimestamp":01}]}`,
	`{"Records":[{"ApproximateArrivalTimestamp":1.}]}`, `{"Records":[{"ApproximateArrivalTimestamp":.5}]}`, `{"Records":[{"ApproximateArrivalTimestamp":1e}]}`,
	`{"Records":[{"ApproximateArrivalTimestamp":1E+9}]}`, `{"Records":[{"ApproximateArrivalTimestamp":0.0004999E3}]}`, `{"Records":[{"ApproximateArrivalTimestamp":1441215410.86712345678901234}]}`,
	`{"Records":[{"ApproximateArrivalTimestamp":1441215410867000000000000e-15}]}`, `{"Records":[{"ApproximateArrivalTimestamp":0e99}]}`, `{"Records":[{"ApproximateArrivalTimestamp":1e999999999999999999999}]}`,
	`{"MillisBehindLatest":1e3}`, `{"MillisBehindLatest":-4}`, `{"MillisBehindLatest":1.0}`, `{"MillisBehindLatest":9223372036854775807}`, `{"MillisBehindLatest":9223372036854775808}`, `{"MillisBehindLatest":"4"}`,
	`{"NextShardIterator":nul}`, `{"NextShardIterator":5}`, `{"New":{"a":[1,{"b":"\""}]},"MillisBehindLatest":3}`, `{"New":[1,}`, `{"New":tru}`, `{"New":-0.1e-5}`, `{"New":"\q"}`, `{"New":"\u12"}`,
	`{"Records":[],"ChildShards":[{"ShardId":"s","ParentShards":["p"],"HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"9"}}],"NextShardIterator":null,"MillisBehindLatest":0}`,
	`{"Records":[` + plainRecord + `],"ChildShards":[]}`, `{"Records":{}}`, `{"Records":[[]]}`, "\xef\xbb\xbf{}", "\x1f\x8b\x08\x00\x00\x00\x00\x00",
}

func TestDecoderIsEqualToTheSDK(t *testing.T) {
	d := NewDecoder()
	for _, body := range append(append([]string(nil), usual...), unusual...) {
		sameAsSDK(t, d, http.StatusOK, body)
		for i := range body { // and cut short everywhere
			sameAsSDK(t, d, http.StatusOK, body[:i])
		}
	}
	for _, body := range []string{
		`{"__type":"ExpiredIteratorException","message":"too old"}`,
		`{"__type":"com.amazonaws.kinesis#ProvisionedThroughputExceededException","Message":"slowly"}`,
		`{"__type":"NobodyKnowsThis"}`, `<html>`, ``, plainAnswer,
	} {
		sameAsSDK(t, d, http.StatusBadRequest, body)
		sameAsSDK(t, d, http.StatusInternalServerError, body)
	}
}

// What Kinesis sends day by day is decoded here, and not handed on.
func TestUsualAnswersAreDecodedHere(t *testing.T) {
	for _, body := range usual {
		if p := (&page{body: []byte(body)}); !p.scan() {
			t.Errorf("%s is for the SDK", body)
		}
	}
}

// A time is to the millisecond what the SDK takes it for, in both notations.
func TestArrivalTimes(t *testing.T) {
	d := NewDecoder()
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(0, 9_200_000_000_000).Draw(t, "ms")
		digits := fmt.Sprintf("%013d", ms)
		for _, text := range []string{
			fmt.Sprintf("%d.%03d", ms/1000, ms%1000),          // as most of AWS writes it
			fmt.Sprintf("%d.%sE9", digits[0]-'0', digits[1:]), // and as Java does
		} {
			body := `{"Records":[{"ApproximateArrivalTimestamp":` + text + `}]}`
			sameAsSDK(t, d, http.StatusOK, body)
			if p := (&page{body: []byte(body)}); !p.scan() {
				t.Fatalf("%s is for the SDK", text)
			}
		}
	})
}

// Records of all sizes, told in all ways, with an accident now and then.
func TestDecoderOnRandomAnswers(t *testing.T) {
	d := NewDecoder()
	rapid.Check(t, func(t *rapid.T) {
		space := rapid.SampledFrom([]string{"", "", " ", "\n\t"}).Draw(t, "space")
		join := func(open string, parts []string, end string) string {
			return open + space + strings.Join(parts, space+","+space) + space + end
		}
		member := func(name, value string) string { return `"` + name + `"` + space + ":" + space + value }
		var records []string
		for range rapid.IntRange(0, 5).Draw(t, "records") {
			data := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data")
			members := []string{
				member("Data", `"`+base64.StdEncoding.EncodeToString(data)+`"`),
				member("PartitionKey", rapid.SampledFrom([]string{`"k"`, `""`, `"a\nb"`, `"0123456789abcdefghijk"`, `null`}).Draw(t, "key")),
				member("SequenceNumber", `"`+rapid.StringMatching(`[0-9]{0,56}`).Draw(t, "number")+`"`),
				member("ApproximateArrivalTimestamp", rapid.StringMatching(`[0-9]{1,11}(\.[0-9]{1,6})?(E[0-9])?`).Draw(t, "arrived")),
				member("EncryptionType", `"NONE"`),
				member("Later", `"x"`),
			}
			n := rapid.IntRange(0, len(members)).Draw(t, "members")
			records = append(records, join("{", rapid.Permutation(members).Draw(t, "order")[:n], "}"))
		}
		body := join("{", rapid.Permutation([]string{
			member("Records", join("[", records, "]")), member("MillisBehindLatest", "12"), member("NextShardIterator", `"AAAA"`),
		}).Draw(t, "answer"), "}")
		if rapid.IntRange(0, 3).Draw(t, "accident") == 0 {
			b := []byte(body)
			b[rapid.IntRange(0, len(b)-1).Draw(t, "where")] = rapid.Byte().Draw(t, "what")
			body = string(b)
		}
		sameAsSDK(t, d, http.StatusOK, body)
	})
}

func FuzzDecoder(f *testing.F) {
	for _, body := range append(append([]string(nil), usual...), unusual...) {
		f.Add(body)
	}
	d := NewDecoder()
	f.Fuzz(func(t *testing.T, body string) { sameAsSDK(t, d, http.StatusOK, body) })
}

// largeAnswer has n records of the size of log lines.
func largeAnswer(n int) (body string, data [][]byte) {
	dice := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	b.WriteString(`{"MillisBehindLatest":0,"NextShardIterator":"n","Records":[`)
	for i := range n {
		line := make([]byte, 400+dice.IntN(500))
		for j := range line {
			line[j] = byte(dice.Uint32())
		}
		data = append(data, line)
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"SequenceNumber":"%056d","ApproximateArrivalTimestamp":1.7%011dE9,"Data":"%s","PartitionKey":"%d"}`,
			i, i, base64.StdEncoding.EncodeToString(line), dice.Uint64())
	}
	b.WriteString("]}")
	return b.String(), data
}

// Memory is used again, and nothing that a page has ever said about keys and
// numbers changes by that. Nor can what is appended to a record spoil the next.
func TestDecoderUsesMemoryAgain(t *testing.T) {
	d := NewDecoder()
	first, firstData := largeAnswer(300)
	out, err := through(d, http.StatusOK, strings.NewReader(first), int64(len(first)))
	if err != nil || len(out.Records) != 300 {
		t.Fatal(len(out.Records), err)
	}
	for i := range out.Records {
		_ = append(out.Records[i].Data, "spoilt"...)
	}
	_ = append(out.Records, types.Record{})
	for i, r := range out.Records {
		if !bytes.Equal(r.Data, firstData[i]) {
			t.Fatalf("record %d is spoilt", i)
		}
	}
	number, key := *out.Records[7].SequenceNumber, *out.Records[7].PartitionKey
	numberWas, keyWas := strings.Clone(number), strings.Clone(key)
	memory := &d.page.body[0]
	second := strings.NewReplacer("0", "9", "1", "8").Replace(first)
	if out, err = through(d, http.StatusOK, strings.NewReader(second), int64(len(second))); err != nil {
		t.Fatal(err)
	}
	if &d.page.body[0] != memory || *out.Records[7].SequenceNumber == numberWas {
		t.Fatal("the second answer is not in the first one's memory")
	}
	if number != numberWas || key != keyWas {
		t.Error("what was kept of the first answer has changed")
	}
	d.Release()
	if d.page != nil {
		t.Error("the memory was not given back")
	}
	d.Release() // does nothing
}

func TestDecoderAllocations(t *testing.T) {
	body, _ := largeAnswer(1000)
	d, r := NewDecoder(), strings.NewReader(body)
	if n := testing.AllocsPerRun(20, func() {
		r.Reset(body)
		if out, err := through(d, http.StatusOK, r, int64(len(body))); err != nil || len(out.Records) != 1000 {
			t.Fatal(err)
		}
	}); n > 20 {
		t.Errorf("%v allocations for 1000 records", n)
	}
}

// A body that ends early or breaks off is an error, whatever there was of it, and a
// length that is a lie costs no memory.
func TestDecoderReadsToTheEnd(t *testing.T) {
	broken := errors.New("connection reset by peer")
	for _, length := range []int64{int64(len(plainAnswer)), -1, 0, 1, 1 << 60} {
		d := NewDecoder()
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"in pieces": iotest.OneByteReader, "with its end": iotest.DataErrReader, "with empty reads": iotest.HalfReader,
		} {
			out, err := through(d, http.StatusOK, wrap(strings.NewReader(plainAnswer)), length)
			if err != nil || len(out.Records) != 2 {
				t.Errorf("%s, of %d bytes: %d records, %v", name, length, len(out.Records), err)
			}
		}
		for _, end := range []error{io.ErrUnexpectedEOF, broken} {
			body := io.MultiReader(strings.NewReader(plainAnswer[:100]), iotest.ErrReader(end))
			if _, err := through(d, http.StatusOK, body, length); !errors.Is(err, end) || kindOf(err) != "damaged" {
				t.Errorf("of %d bytes: error = %v, want %v", length, err, end)
			}
		}
		if n := cap(d.page.body); n > 2*foretold {
			t.Errorf("%d bytes were set aside for an answer that is said to have %d", n, length)
		}
	}
}

func FuzzDecodeInPlace(f *testing.F) {
	for _, text := range []string{"", "QUJD", "QQ==", "QR==", "QUI=", "Q", "QQ", "=", "====", "Q\nQ=", "\n\n\n\n", strings.Repeat("QUJD", 40), strings.Repeat("QUJD", 40) + "Q\x80JD"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.ContainsAny(text, "\r\n") {
			if got, err := decodeInPlace(bytes.Clone(text)); err == nil {
				t.Fatalf("%q is %q", text, got)
			}
			return
		}
		want, wantErr := base64.StdEncoding.DecodeString(string(text))
		got, err := decodeInPlace(bytes.Clone(text))
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%q is %q, %v, want %q, %v", text, got, err, want, wantErr)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	body, _ := largeAnswer(1000)
	for name, p := range map[string]smithyhttp.ClientProtocol{"here": NewDecoder(), "sdk": sdk} {
		b.Run(name, func(b *testing.B) {
			r := strings.NewReader(body)
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(body)
				if _, err := through(p, http.StatusOK, r, int64(len(body))); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
		})
	}
}
