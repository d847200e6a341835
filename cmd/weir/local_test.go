package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// What is asked for is there from the start, on the port that is printed.
func TestLocal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, stdout := io.Pipe()
	done := make(chan int)
	var stderr bytes.Buffer
	go func() {
		args := []string{"local", "-listen", "127.0.0.1:0", "-bucket", "states, more"}
		code := run(ctx, &world{args: args, stdin: new(bytes.Buffer), stdout: stdout, stderr: &stderr})
		stdout.Close()
		done <- code
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "AWS_ENDPOINT_URL=")
	if err != nil || !ok {
		t.Fatalf("%q, %v", line, err)
	}
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	for bucket, want := range map[string]int{"states": http.StatusOK, "more": http.StatusOK, "other": http.StatusNotFound} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/"+bucket+"?list-type=2", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x")
		resp, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("bucket %s: %s", bucket, resp.Status)
		}
	}
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
}
