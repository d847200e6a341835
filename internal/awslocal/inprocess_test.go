package awslocal

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// scripted stands in for a service and lets a test write the answer.
type scripted func(w http.ResponseWriter, r *http.Request)

func (scripted) admit(http.ResponseWriter, *http.Request, string) bool                 { return true }
func (s scripted) carryOut(w http.ResponseWriter, r *http.Request, _ string, _ []byte) { s(w, r) }

// scriptedServer has one service with an action that streams and one that does not.
func scriptedServer(serve scripted) *Server {
	s := New(Config{})
	s.routes = []*route{{name: "kinesis", prefix: "Kinesis_20131202.", actions: []string{"SubscribeToShard", "GetRecords"}, service: serve}}
	return s
}

func send(t *testing.T, ctx context.Context, s *Server, action string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://kinesis.test/", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "Kinesis_20131202."+action)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/kinesis/aws4_request, Signature=0")
	return s.HTTPClient().Do(r)
}

func TestInProcessStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scriptedServer(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Kind", "stream")
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			for _, part := range []string{"one ", "two ", "three"} {
				time.Sleep(time.Minute)
				if _, err := io.WriteString(w, part); err != nil {
					return
				}
			}
		})
		start := time.Now()
		resp, err := send(t, t.Context(), s, "SubscribeToShard")
		if err != nil || resp.StatusCode != 200 || resp.Header.Get("X-Kind") != "stream" {
			t.Fatalf("%v, %v", resp, err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("Do returned after %v, not with the first flush", took)
		}
		part := make([]byte, 4)
		if _, err := io.ReadFull(resp.Body, part); err != nil || string(part) != "one " || time.Since(start) != time.Minute {
			t.Errorf("%q after %v, %v", part, time.Since(start), err)
		}
		rest, err := io.ReadAll(resp.Body)
		if err != nil || string(rest) != "two three" || time.Since(start) != 3*time.Minute {
			t.Errorf("%q after %v, %v", rest, time.Since(start), err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		if calls := s.Calls(); len(calls) != 1 || calls[0].Status != 200 {
			t.Errorf("calls %+v", calls)
		}
	})
}

// Whoever stops reading must not leave a handler behind.
func TestInProcessStreamEnds(t *testing.T) {
	forEver := func(ended *bool) *Server {
		return scriptedServer(func(w http.ResponseWriter, r *http.Request) {
			defer func() { *ended = true }()
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, "more"); err != nil {
					return
				}
			}
		})
	}
	t.Run("by Close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ended := false
			resp, err := send(t, t.Context(), forEver(&ended), "SubscribeToShard")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if !ended {
				t.Error("the handler outlives Close")
			}
		})
	})
	t.Run("by the context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ended := false
			ctx, cancel := context.WithCancel(t.Context())
			resp, err := send(t, ctx, forEver(&ended), "SubscribeToShard")
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			if _, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, context.Canceled) {
				t.Errorf("reading goes on: %v", err)
			}
			resp.Body.Close()
			if !ended {
				t.Error("the handler goes on")
			}
		})
	})
}

func TestInProcessStreamThatIsCut(t *testing.T) {
	cut := scriptedServer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if resp, err := send(t, t.Context(), cut, "SubscribeToShard"); err == nil {
		t.Errorf("cut before it began, but %v", resp)
	}
	later := scriptedServer(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "some")
		panic(http.ErrAbortHandler)
	})
	resp, err := send(t, t.Context(), later, "SubscribeToShard")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err == nil || string(b) != "some" {
		t.Errorf("read %q and %v of a stream that was cut", b, err)
	}
}

func TestInProcessStreamMayAnswerPlainly(t *testing.T) {
	s := scriptedServer(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, fail(400, "ResourceInUseException", "again within 5 s"))
	})
	resp, err := send(t, t.Context(), s, "SubscribeToShard")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 400 || !strings.Contains(string(b), "ResourceInUseException") {
		t.Errorf("%d %s, %v", resp.StatusCode, b, err)
	}
}

func TestInProcessAnswersWhole(t *testing.T) {
	s := scriptedServer(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "whole") })
	resp, err := send(t, t.Context(), s, "GetRecords")
	if err != nil || resp.ContentLength != 5 || resp.StatusCode != 200 {
		t.Fatalf("%+v, %v", resp, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := send(t, ctx, s, "GetRecords"); !errors.Is(err, context.Canceled) {
		t.Errorf("a call with a context that has ended: %v", err)
	}
	if n := len(s.Calls()); n != 1 {
		t.Errorf("%d calls served, want one", n)
	}
}

// A bug in a stand-in must not look like a broken connection.
func TestInProcessLetsPanicsThrough(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("the panic is lost")
		}
	}()
	_, _ = send(t, t.Context(), scriptedServer(func(http.ResponseWriter, *http.Request) { panic("BUG") }), "GetRecords")
}
