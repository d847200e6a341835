package awslocal

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// InProcess is an HTTP client that calls a [Server] without a port. Give it to
// an AWS client as its HTTPClient, with any base endpoint.
//
// A call runs on the caller's goroutine and its answer is whole when Do
// returns, so it needs no closing and works in a testing/synctest bubble. The
// one action that answers with an event stream runs on a goroutine of its own,
// which ends before the response body's Close returns.
type InProcess struct{ server *Server }

// HTTPClient returns a client for s.
func (s *Server) HTTPClient() *InProcess { return &InProcess{s} }

// Do serves r. An error means what it means from a real client: the request's
// context has ended, or the connection was cut (by the fault script), which
// says nothing about whether the call was carried out.
func (p *InProcess) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := r.Context().Err(); err != nil {
		return nil, clientError(r, err)
	}
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".SubscribeToShard") {
		return p.stream(r)
	}
	w := &buffered{header: make(http.Header)}
	if cut := serveUncut(p.server, w, r); cut {
		return nil, cutError(r)
	}
	return response(r, w.status, w.header, io.NopCloser(&w.body), int64(w.body.Len())), nil
}

// serveUncut runs the handler and tells whether it cut the connection.
func serveUncut(h http.Handler, w http.ResponseWriter, r *http.Request) (cut bool) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			cut = true
		default:
			panic(p)
		}
	}()
	h.ServeHTTP(w, r)
	return false
}

func response(r *http.Request, status int, header http.Header, body io.ReadCloser, length int64) *http.Response {
	if status == 0 {
		status = http.StatusOK // as net/http has it for a handler that wrote nothing
	}
	return &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: body, ContentLength: length, Request: r,
	}
}

// cutError is what a client sees of a connection that broke: its own
// impatience if that came first, else a reset.
func cutError(r *http.Request) error {
	if err := r.Context().Err(); err != nil {
		return clientError(r, err)
	}
	return clientError(r, &net.OpError{Op: "read", Net: "in-process", Err: syscall.ECONNRESET})
}

func clientError(r *http.Request, err error) error {
	return &url.Error{Op: "Post", URL: r.URL.Redacted(), Err: err}
}

// buffered keeps a whole answer.
type buffered struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (b *buffered) Header() http.Header         { return b.header }
func (b *buffered) Write(p []byte) (int, error) { return b.body.Write(p) }
func (b *buffered) WriteHeader(status int) {
	if b.status == 0 {
		b.status = status
	}
}

// stream serves r on a goroutine and returns once the handler has written a
// status, so that the answer can be read while it is written.
func (p *InProcess) stream(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	body, end := io.Pipe()
	w := &piped{header: make(http.Header), ready: make(chan struct{}), body: end}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		// A reader that waits for more must learn that the caller gave up.
		stop := context.AfterFunc(ctx, func() { end.CloseWithError(context.Cause(ctx)) })
		defer stop()
		if serveUncut(p.server, w, r.WithContext(ctx)) {
			end.CloseWithError(cutError(r))
			w.once.Do(func() { w.cut = true; close(w.ready) })
			return
		}
		// A nil error is an orderly end. A handler that returned because the
		// caller gave up has not come to one.
		end.CloseWithError(r.Context().Err())
		w.WriteHeader(http.StatusOK)
	}()
	<-w.ready
	if w.cut {
		<-done
		return nil, cutError(r)
	}
	return response(r, w.status, w.header, &streamBody{body, cancel, done}, -1), nil
}

// piped hands an answer over piece by piece. status, cut and header belong to
// the handler until ready is closed.
type piped struct {
	header http.Header
	once   sync.Once
	ready  chan struct{}
	status int
	cut    bool
	body   *io.PipeWriter
}

func (p *piped) Header() http.Header {
	select {
	case <-p.ready: // sent already: what a handler sets now must not race with the reader
		return make(http.Header)
	default:
		return p.header
	}
}

func (p *piped) WriteHeader(status int) {
	p.once.Do(func() { p.status = status; close(p.ready) })
}

func (p *piped) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	return p.body.Write(b)
}

// Flush has nothing to do: the pipe holds nothing back.
func (p *piped) Flush() { p.WriteHeader(http.StatusOK) }

// streamBody ends its handler when it is closed.
type streamBody struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   <-chan struct{}
}

// Close waits for the handler's goroutine, which obeys its context.
func (b *streamBody) Close() error {
	b.cancel()
	err := b.PipeReader.Close()
	<-b.done
	return err
}
