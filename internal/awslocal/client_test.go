package awslocal

import (
	"io"
	"net/http"
	"testing"
)

// httpClient is a client for servers over a port, without the SDK's bug of
// closing a request's body under net/http's hands, which breaks connections to
// servers that answer quickly.
func httpClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 4}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: plainBodies{transport}}
}

type plainBodies struct{ next http.RoundTripper }

func (p plainBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r = r.Clone(r.Context())
		r.Body = struct{ io.ReadCloser }{r.Body} // hides that it can also write itself
	}
	return p.next.RoundTrip(r)
}
