package awshttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// keys gives out a new key each time, named by its number.
type keys struct {
	given int
	err   error
}

func (k *keys) Retrieve(context.Context) (aws.Credentials, error) {
	if k.err != nil {
		return aws.Credentials{}, k.err
	}
	k.given++
	return aws.Credentials{AccessKeyID: strconv.Itoa(k.given), SecretAccessKey: "s", CanExpire: true, Expires: time.Now().Add(time.Hour)}, nil
}

// refuser refuses all keys but one with an error's code.
type refuser struct {
	good int
	code string
}

func (f *refuser) Do(r *http.Request) (*http.Response, error) {
	status, body := http.StatusBadRequest, `{"__type":"`+f.code+`"}`
	if strings.Contains(r.Header.Get("Authorization"), "Credential="+strconv.Itoa(f.good)+"/") {
		status, body = http.StatusOK, "{}"
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func renewing(k *keys, f *refuser) *kinesis.Client {
	return kinesis.NewFromConfig(Renew(aws.Config{
		Region: "us-east-1", HTTPClient: f, Credentials: aws.NewCredentialsCache(k), BaseEndpoint: aws.String("http://stand-in"),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	}))
}

func TestRefusedCredentialsAreRenewed(t *testing.T) {
	for _, code := range []string{"ExpiredTokenException", "UnrecognizedClientException"} {
		synctest.Test(t, func(t *testing.T) {
			k, f := &keys{}, &refuser{good: 3, code: code}
			api := renewing(k, f)
			begun := time.Now()
			for {
				_, err := api.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("logs")})
				if err == nil {
					break
				}
				if !RefusesCredentials(err) {
					t.Fatal(err)
				}
				time.Sleep(100 * time.Millisecond)
			}
			if k.given != 3 {
				t.Errorf("credentials were fetched %d times, want 3", k.given)
			}
			if took := time.Since(begun); took < renewEvery || took > renewEvery+200*time.Millisecond {
				t.Errorf("the third credentials were used after %v", took)
			}
		})
	}
}

// What AWS refuses for other reasons new credentials do not cure.
func TestOtherRefusalsRenewNothing(t *testing.T) {
	k, f := &keys{}, &refuser{code: "AccessDeniedException"}
	api := renewing(k, f)
	for range 3 {
		if _, err := api.ListShards(t.Context(), &kinesis.ListShardsInput{}); err == nil || RefusesCredentials(err) {
			t.Fatal(err)
		}
	}
	if k.given != 1 {
		t.Errorf("credentials were fetched %d times, want 1", k.given)
	}
}

func TestNoCredentials(t *testing.T) {
	down := errors.New("no answer from 169.254.170.2")
	api := renewing(&keys{err: down}, &refuser{})
	_, err := api.ListShards(t.Context(), &kinesis.ListShardsInput{})
	var none *CredentialsError
	if !errors.As(err, &none) || !errors.Is(err, down) {
		t.Errorf("error = %v", err)
	}
}

func TestOnlyCachesAreRenewed(t *testing.T) {
	cfg := Renew(aws.Config{Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	if _, ok := cfg.Credentials.(*renewed); ok || len(cfg.APIOptions) != 0 {
		t.Errorf("a configuration without a cache was changed: %v", cfg)
	}
}
