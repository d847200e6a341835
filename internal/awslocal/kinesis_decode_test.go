package awslocal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// plainPut is PutRecords as encoding/json reads it.
type plainPut struct {
	Records []struct {
		Data            *[]byte
		PartitionKey    string
		ExplicitHashKey string
	}
	StreamName, StreamARN string
}

// sameRecords tells whether both decoders understood the same.
func sameRecords(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, p *putRequest, plain *plainPut,
) {
	t.Helper()
	if p.StreamName != plain.StreamName || p.StreamARN != plain.StreamARN || len(p.records) != len(plain.Records) {
		t.Fatalf("stream %q %q, %d records; want %q %q, %d", p.StreamName, p.StreamARN, len(p.records),
			plain.StreamName, plain.StreamARN, len(plain.Records))
	}
	for i, want := range plain.Records {
		got := p.records[i]
		if (got.data != nil) != (want.Data != nil) || string(got.keyText) != want.PartitionKey || string(got.hashKey) != want.ExplicitHashKey {
			t.Fatalf("record %d: %v %q %q, want %v %q %q", i, got.data != nil, got.keyText, got.hashKey, want.Data != nil, want.PartitionKey, want.ExplicitHashKey)
		}
		if want.Data != nil && (string(got.data) != base64.StdEncoding.EncodeToString(*want.Data) || got.size != len(*want.Data)) {
			t.Fatalf("record %d: data %q (%d bytes), want %q", i, got.data, got.size, *want.Data)
		}
		var key string
		if err := json.Unmarshal([]byte(`"`+string(got.key)+`"`), &key); err != nil || key != want.PartitionKey {
			t.Fatalf("record %d: key is kept as %q, which reads as %q (%v), want %q", i, got.key, key, err, want.PartitionKey)
		}
	}
}

func TestPutRecordsIsReadAsEncodingJSONDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type record struct {
			Data            []byte
			PartitionKey    string `json:",omitempty"`
			ExplicitHashKey string `json:",omitempty"`
		}
		var in struct {
			StreamARN  string   `json:",omitempty"`
			Records    []record `json:",omitempty"`
			StreamName string   `json:",omitempty"`
		}
		in.StreamARN = rapid.String().Draw(t, "arn")
		in.StreamName = rapid.String().Draw(t, "name")
		in.Records = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) record {
			return record{
				rapid.SliceOf(rapid.Byte()).Draw(t, "data"),
				rapid.String().Draw(t, "key"),
				rapid.StringMatching(`[0-9]{0,3}`).Draw(t, "hash"),
			}
		}), 0, 5).Draw(t, "records")
		var body bytes.Buffer
		e := json.NewEncoder(&body)
		e.SetEscapeHTML(rapid.Bool().Draw(t, "escape"))
		if rapid.Bool().Draw(t, "indent") {
			e.SetIndent(" ", "\t")
		}
		if err := e.Encode(in); err != nil {
			t.Fatal(err)
		}
		var plain plainPut
		if err := json.Unmarshal(body.Bytes(), &plain); err != nil {
			t.Fatal(err)
		}
		var p putRequest
		if err := p.decodeMany(body.Bytes()); err != nil {
			t.Fatalf("%v: %s", err, &body)
		}
		sameRecords(t, &p, &plain)
	})
}

func TestPutRecordsBodies(t *testing.T) {
	const good = `{"Records":[{"Data":"QQ==","PartitionKey":"k"}],"StreamName":"s"}`
	tests := []struct {
		name, body string
		ok         bool
	}{
		{"the usual", good, true},
		{"white space", " {\t\"Records\" : [ { \"Data\" : \"QQ==\" , \"PartitionKey\":\"k\"} ] , \"StreamName\":\"s\" }\r\n", true},
		{"the stream first", `{"StreamName":"s","Records":[{"PartitionKey":"k","Data":"QQ=="}]}`, true},
		{"slashes escaped, as PHP does", `{"Records":[{"Data":"\/\/\/\/","PartitionKey":"a\/b"}],"StreamName":"s"}`, true},
		{"the letter A escaped", `{"Records":[{"Data":"\u0051Q==","PartitionKey":"k"}],"StreamName":"s"}`, true},
		{"an escaped name", `{"R\u0065cords":[{"Data":"QQ==","PartitionKey":"k"}],"StreamName":"s"}`, true},
		{"unused bits set", `{"Records":[{"Data":"QR==","PartitionKey":"k"}],"StreamName":"s"}`, true},
		{"nulls", `{"Records":[{"Data":"QQ==","PartitionKey":"k","ExplicitHashKey":null}],"StreamARN":null,"StreamName":"s"}`, true},
		{"no data", `{"Records":[{"PartitionKey":"k"}],"StreamName":"s"}`, true},
		{"what changes nothing", `{"Records":[],"StreamId":"x","DryRun":false,"StreamName":"s"}`, true},
		{"empty data", `{"Records":[{"Data":"","PartitionKey":"k"}],"StreamName":"s"}`, true},
		{"records given twice", `{"Records":[],"Records":[]}`, false},
		{"data given twice", `{"Records":[{"Data":"QQ==","Data":null}]}`, false},
		{"a stream given twice", `{"StreamName":"a","StreamName":"b"}`, false},
		{"nothing", ``, false},
		{"null", `null`, false},
		{"a list", `[]`, false},
		{"a string", `"x"`, false},
		{"cut short", good[:len(good)-1], false},
		{"cut in a string", good[:30], false},
		{"two objects", good + good, false},
		{"something behind", good + "x", false},
		{"a comma too many", `{"Records":[],}`, false},
		{"a comma too many in a list", `{"Records":[{"Data":"QQ==","PartitionKey":"k"},],"StreamName":"s"}`, false},
		{"a comma too few", `{"Records":[] "StreamName":"s"}`, false},
		{"an unknown member", `{"Records":[],"Streamname":"s"}`, false},
		{"an unknown member of a record", `{"Records":[{"data":"QQ=="}]}`, false},
		{"records that are no list", `{"Records":{}}`, false},
		{"a record that is no object", `{"Records":["QQ=="]}`, false},
		{"data that is no string", `{"Records":[{"Data":1}]}`, false},
		{"data that is no base64", `{"Records":[{"Data":"Q!=="}]}`, false},
		{"data without padding", `{"Records":[{"Data":"QQ"}]}`, false},
		{"a bad escape", `{"Records":[{"Data":"QQ==","PartitionKey":"\x41"}]}`, false},
		{"a line feed in a key", "{\"Records\":[{\"Data\":\"QQ==\",\"PartitionKey\":\"a\nb\"}]}", false},
		{"nested junk", `{"DryRun":` + strings.Repeat("[", 20_000) + `}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p putRequest
			err := p.decodeMany([]byte(tt.body))
			if (err == nil) != tt.ok {
				t.Fatalf("error %v", err)
			}
			var plain plainPut
			if err == nil && json.Unmarshal([]byte(tt.body), &plain) == nil {
				sameRecords(t, &p, &plain)
			}
		})
	}
}

func TestPutRecordBody(t *testing.T) {
	var p putRequest
	body := `{"StreamName":"s","Data":"QUJD","SequenceNumberForOrdering":"1","PartitionKey":"é","ExplicitHashKey":"7"}`
	if err := p.decodeOne([]byte(body)); err != nil {
		t.Fatal(err)
	}
	r := p.records[0]
	if p.StreamName != "s" || string(r.data) != "QUJD" || r.size != 3 || string(r.keyText) != "é" || string(r.hashKey) != "7" {
		t.Errorf("%q %+v", p.StreamName, r)
	}
	if err := new(putRequest).decodeOne([]byte(`{"StreamName":"s","Records":[]}`)); err == nil {
		t.Error("a PutRecord with a list of records was taken")
	}
}

func TestCanonicalBase64(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(rapid.StringMatching(`[A-D/+]{0,9}={0,3}[-_ !]?`).Draw(t, "text"))
		blob, err := base64.StdEncoding.Strict().DecodeString(string(text))
		size, ok := canonicalBase64(text)
		if ok != (err == nil) || ok && size != len(blob) {
			t.Errorf("%q: %d, %v; encoding/base64 says %d, %v", text, size, ok, len(blob), err)
		}
	})
	for b := range 256 {
		text := []byte{byte(b), 'A', 'A', 'A'}
		_, err := base64.StdEncoding.DecodeString(string(text))
		if _, ok := canonicalBase64(text); ok != (err == nil) {
			t.Errorf("%q: %v, want %v", text, ok, err == nil)
		}
	}
}

// What our decoder takes, encoding/json must take, too, and understand as the
// same. The other way round, ours is stricter: it wants exact names and no
// members that the action does not have.
func FuzzPutRecords(f *testing.F) {
	for _, body := range []string{
		`{"Records":[{"Data":"QUJD","PartitionKey":"k","ExplicitHashKey":"1"},{"Data":"","PartitionKey":"é"}],"StreamName":"s"}`,
		`{"StreamARN":"a","Records":[{"Data":"\u0051Q==","PartitionKey":"\ud83d\ude00"}],"DryRun":[{"a":1.5e3},null,true]}`,
		"{\"Records\":null,\"StreamId\":\"\\\"\"}", `{"Records":[{}]}`, `{}`, `{"`, "\xff", `{"Records":[{"PartitionKey":"` + "\xff" + `"}]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var p putRequest
		before := slices.Clone(body)
		err := p.decodeMany(body)
		if err == nil {
			var plain plainPut
			if err := json.Unmarshal(body, &plain); err != nil {
				t.Fatalf("taken, but %v", err)
			}
			sameRecords(t, &p, &plain)
			_ = p.check(defaultRecordBytes)
		}
		_ = new(putRequest).decodeOne(body)
		if !bytes.Equal(body, before) {
			t.Error("the body was changed")
		}
	})
}
