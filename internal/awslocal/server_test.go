package awslocal

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"github.com/aws/smithy-go"
)

func staticCredentials(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
}

// errorCode is the AWS error code in err, or "".
func errorCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// wantCode fails the test unless err has that AWS error code ("" = no error).
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if code == "" && err != nil || errorCode(err) != code {
		t.Fatalf("error %v, want code %q", err, code)
	}
}

func TestServerRefuses(t *testing.T) {
	signed := func(service string) string {
		return "AWS4-HMAC-SHA256 Credential=AK/ID/20260101/us-east-1/" + service + "/aws4_request, SignedHeaders=host, Signature=0"
	}
	tests := []struct {
		name, method, target, auth, body string
		status                           int
		code                             string
	}{
		{"a GET", "GET", "DynamoDB_20120810.ListTables", signed("dynamodb"), "", 405, "UnknownOperationException"},
		{"no target", "POST", "", signed("dynamodb"), "{}", 400, "UnknownOperationException"},
		{"another service", "POST", "AmazonSQS.SendMessage", signed("sqs"), "{}", 400, "UnknownOperationException"},
		{"no such action", "POST", "DynamoDB_20120810.ListTable", signed("dynamodb"), "{}", 400, "UnknownOperationException"},
		{"unsigned", "POST", "DynamoDB_20120810.ListTables", "", "{}", 403, "MissingAuthenticationTokenException"},
		{"a short scope", "POST", "DynamoDB_20120810.ListTables", "Credential=a/b/c, x", "{}", 403, "MissingAuthenticationTokenException"},
		{"signed for another service", "POST", "DynamoDB_20120810.ListTables", signed("kinesis"), "{}", 403, "InvalidSignatureException"},
		{"a huge body", "POST", "DynamoDB_20120810.ListTables", signed("dynamodb"), strings.Repeat(" ", maxBody+1), 413, "RequestEntityTooLargeException"},
		{"fine", "POST", "DynamoDB_20120810.ListTables", signed("dynamodb"), "{}", 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Config{})
			r := httptest.NewRequest(tt.method, "/", strings.NewReader(tt.body))
			r.Header.Set("X-Amz-Target", tt.target)
			r.Header.Set("Authorization", tt.auth)
			r.Header.Set("Content-Type", "application/x-amz-json-1.0")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != tt.status || w.Header().Get("X-Amzn-Errortype") != tt.code {
				t.Errorf("got %d %s: %s", w.Code, w.Header().Get("X-Amzn-Errortype"), w.Body)
			}
			if got := w.Header().Get("Content-Type"); got != "application/x-amz-json-1.0" {
				t.Errorf("answer in %q, asked in JSON 1.0", got)
			}
			if sum := fmt.Sprint(crc32.ChecksumIEEE(w.Body.Bytes())); w.Header().Get("X-Amz-Crc32") != sum {
				t.Errorf("checksum %s, want %s", w.Header().Get("X-Amz-Crc32"), sum)
			}
			if w.Header().Get("X-Amzn-Requestid") == "" {
				t.Error("no request id")
			}
			if calls := len(s.Calls()); calls != 0 && tt.code != "" {
				t.Errorf("%d calls noted for a request that reached no service", calls)
			}
		})
	}
}

// The same handler must serve over a real port what it serves in process.
func TestServerOverAPort(t *testing.T) {
	s := New(Config{})
	web := httptest.NewServer(s)
	defer web.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := newWAFClient(s, "us-east-1")
	for _, options := range []func(*wafv2.Options){
		func(*wafv2.Options) {},
		func(o *wafv2.Options) {
			o.BaseEndpoint = aws.String(web.URL)
			o.HTTPClient = &http.Client{Transport: transport}
		},
	} {
		out, err := client.ListIPSets(t.Context(), &wafv2.ListIPSetsInput{Scope: types.ScopeRegional}, options)
		if err != nil || len(out.IPSets) != 0 {
			t.Fatalf("%v, %v", out, err)
		}
	}
	if n := s.Counts()[CallKey{Service: "wafv2", Action: "ListIPSets"}]; n != 2 {
		t.Errorf("%d calls counted, made 2", n)
	}
}

func TestCallsAreARing(t *testing.T) {
	s := New(Config{})
	for i := range keptCalls + 10 {
		s.calls.add(Call{Status: i})
	}
	calls := s.Calls()
	if len(calls) != keptCalls {
		t.Fatalf("%d calls kept, want %d", len(calls), keptCalls)
	}
	for i, c := range calls {
		if c.Status != i+10 {
			t.Fatalf("call %d is %d, want %d", i, c.Status, i+10)
		}
	}
	if n := s.Counts()[CallKey{}]; n != keptCalls+10 {
		t.Errorf("%d counted, want all", n)
	}
}
