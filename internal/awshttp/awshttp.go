// Package awshttp holds the HTTP client that every AWS client of Weir is given:
// Kinesis, DynamoDB and WAFv2 in the service, the stand-ins in tests and demo.
// It is a package of its own because cmd builds clients for packages that must
// not know each other, and all of them need the same two cures; a third is for
// credentials, see [Renew].
//
// The first is for the SDK's request bodies. The SDK hides that a body is bytes
// in memory and closes it the moment the response arrives. net/http looks at a
// body once more after the last byte was sent; when the answer was quicker than
// that look (a local server, or a task short of CPU), net/http takes the closed
// body for a failed upload and cuts the connection while the answer is read:
// "use of closed network connection", in 10 to 20 % of large answers. Here
// net/http is handed the plain bytes and does not look again.
//
// The second is for HTTP/2, whose flow control costs a fifth of the CPU that
// receiving takes. Everything but event streams is received with HTTP/1.1.
package awshttp

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awstransport "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

const (
	dialTimeout   = 5 * time.Second
	headerTimeout = 30 * time.Second // for calls without a deadline of their own; longer than any long poll
	connsPerHost  = 256              // kept idle; a stream's shards are all read over one host
)

// Client is an aws.HTTPClient. It may be used by any number of goroutines.
type Client struct {
	base aws.HTTPClient // as handed to New; Streaming starts from it again
	do   aws.HTTPClient
}

// New returns a client that receives with HTTP/1.1. It starts from base, which
// is aws.Config.HTTPClient: the SDK's own client keeps what it was configured
// with (the CA bundle of AWS_CA_BUNDLE), nil means the SDK's own with defaults,
// and any other client, like a stand-in called in process, stays as it is but
// for the request bodies. A *Client is taken apart again, never wrapped twice.
func New(base aws.HTTPClient) *Client {
	return build(base, func(tr *http.Transport) {
		tr.ForceAttemptHTTP2 = false
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetHTTP1(true)
		// A transport that was copied has offered HTTP/2 in its TLS settings already.
		if tr.TLSClientConfig != nil {
			tr.TLSClientConfig.NextProtos = nil
		}
	})
}

// Streaming returns a client like c for calls whose answer stays open, such as
// SubscribeToShard: HTTP/2 where the server has it, since AWS serves event
// streams over nothing else.
func (c *Client) Streaming() *Client {
	return build(c.base, func(*http.Transport) {})
}

func build(base aws.HTTPClient, adapt func(*http.Transport)) *Client {
	if c, ok := base.(*Client); ok {
		base = c.base
	}
	if base == nil {
		base = awstransport.NewBuildableClient()
	}
	c := &Client{base: base, do: base}
	if b, ok := base.(*awstransport.BuildableClient); ok {
		c.do = b.
			WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
			WithTransportOptions(func(tr *http.Transport) {
				tr.MaxIdleConns, tr.MaxIdleConnsPerHost = 2*connsPerHost, connsPerHost
				tr.ResponseHeaderTimeout = headerTimeout
			}, adapt)
	}
	return c
}

// Do sends r. Its body is read whole before anything is sent.
func (c *Client) Do(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return c.do.Do(r)
	}
	body, err := readBody(r)
	if closeErr := r.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("read request body: %w", err)
	}
	plain := r.WithContext(r.Context()) // a shallow copy: r stays the SDK's
	plain.ContentLength = int64(len(body))
	plain.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	plain.Body, _ = plain.GetBody()
	return c.do.Do(plain)
}

// readBody reads the body of a request. One whose length is known, and a snapshot has
// hundreds of megabytes, takes no more memory than that.
func readBody(r *http.Request) ([]byte, error) {
	if r.ContentLength <= 0 {
		return io.ReadAll(r.Body)
	}
	body := bytes.NewBuffer(make([]byte, 0, r.ContentLength+bytes.MinRead))
	_, err := body.ReadFrom(r.Body)
	return body.Bytes(), err
}
