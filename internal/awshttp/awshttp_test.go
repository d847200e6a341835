package awshttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awstransport "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eager answers every GetRecords at once with a large page, mostly before
// net/http has looked at the request's body for the last time.
func eager(t *testing.T) *httptest.Server {
	t.Helper()
	page := fmt.Sprintf(`{"MillisBehindLatest":0,"NextShardIterator":"n","Records":[{"Data":%q,"PartitionKey":"k","SequenceNumber":"1"}]}`,
		strings.Repeat("QUFB", 1<<16))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, page)
	}))
	t.Cleanup(s.Close)
	return s
}

func errorsOf(t *testing.T, calls int, url string, c aws.HTTPClient) (failed int) {
	t.Helper()
	api := kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: &url, HTTPClient: c, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
	})
	for range calls {
		out, err := api.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: aws.String("i")})
		switch {
		case err != nil:
			failed++
		case len(out.Records) != 1 || len(out.Records[0].Data) != 3<<16:
			t.Fatalf("answer is not whole: %d records", len(out.Records))
		}
	}
	return failed
}

func TestEarlyAnswersDoNotCutTheConnection(t *testing.T) {
	s := eager(t)
	base := awstransport.NewBuildableClient()
	var tr *http.Transport
	c := New(base.WithTransportOptions(func(t *http.Transport) { tr = t }))
	if failed := errorsOf(t, 180, s.URL, c); failed != 0 {
		t.Errorf("%d of 180 calls failed", failed)
	}
	t.Logf("the SDK's client on its own: %d of 60 calls failed", errorsOf(t, 60, s.URL, &http.Client{Transport: tr}))
	tr.CloseIdleConnections()
}

// doer is an HTTP client made of a func.
type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// lateBody answers reads after Close as the SDK's body does.
type lateBody struct {
	io.Reader
	closed bool
	err    error
}

func (b *lateBody) Close() error { b.closed = true; return b.err }

func TestBodyIsPlainBytes(t *testing.T) {
	var got *http.Request
	c := New(doer(func(r *http.Request) (*http.Response, error) {
		got = r
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}))
	body := &lateBody{Reader: strings.NewReader("payload")}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x/", body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(r); err != nil {
		t.Fatal(err)
	}
	if !body.closed {
		t.Error("the SDK's body was not closed")
	}
	if r.Body != body {
		t.Error("the SDK's request was changed")
	}
	if got.ContentLength != 7 {
		t.Errorf("ContentLength = %d, want 7", got.ContentLength)
	}
	for range 2 { // net/http may ask again
		again, err := got.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(again); !bytes.Equal(b, []byte("payload")) {
			t.Errorf("body = %q", b)
		}
	}
}

func TestBodyErrors(t *testing.T) {
	broken := errors.New("broken")
	c := New(doer(func(*http.Request) (*http.Response, error) {
		t.Error("a request without its body was sent")
		return nil, nil
	}))
	for name, body := range map[string]*lateBody{
		"read":  {Reader: io.MultiReader(strings.NewReader("pay"), errReader{broken})},
		"close": {Reader: strings.NewReader("payload"), err: broken},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x/", body)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Do(r); !errors.Is(err, broken) {
			t.Errorf("%s: error = %v, want %v", name, err, broken)
		}
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

// protocol returns the version of HTTP that c speaks to a TLS server which
// offers both, trusting only the CA in c's base, as with AWS_CA_BUNDLE.
func protocol(t *testing.T, s *httptest.Server, c aws.HTTPClient) string {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.URL, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestProtocolAndTrust(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	ca := x509.NewCertPool()
	ca.AddCert(s.Certificate())
	base := awstransport.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
		tr.TLSClientConfig = &tls.Config{RootCAs: ca}
		tr.DisableKeepAlives = true
	})

	c := New(base)
	if got := protocol(t, s, c); got != "HTTP/1.1" {
		t.Errorf("New speaks %s, want HTTP/1.1", got)
	}
	if got := protocol(t, s, c.Streaming()); got != "HTTP/2.0" {
		t.Errorf("Streaming speaks %s, want HTTP/2.0", got)
	}
	if got := protocol(t, s, New(New(base).Streaming())); got != "HTTP/1.1" {
		t.Errorf("New of a streaming client speaks %s, want HTTP/1.1", got)
	}
}

func TestNilBaseIsTheSDKsOwn(t *testing.T) {
	if _, ok := New(nil).do.(*awstransport.BuildableClient); !ok {
		t.Errorf("New(nil) sends through %T", New(nil).do)
	}
}
