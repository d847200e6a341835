package awslocal

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

func s3Client(s *Server, change func(*s3.Options)) *s3.Client {
	return s3.NewFromConfig(aws.Config{
		Region: "us-east-1", HTTPClient: s.HTTPClient(), Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}, change)
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// Objects come back as they went, over each of the ways in which the SDK sends them.
func TestObjects(t *testing.T) {
	for name, change := range map[string]func(*s3.Options){
		"by host, in chunks": func(*s3.Options) {},
		"by path, signed":    func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = new("http://stand-in"), true },
		"without checksums": func(o *s3.Options) {
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := s3Client(New(Config{S3: S3Config{Page: 3}}), change)
			ctx := t.Context()
			if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: new("b-1"), Key: new("a"), Body: strings.NewReader("x")}); code(err) != "NoSuchBucket" {
				t.Errorf("error = %v", err)
			}
			if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: new("b-1")}); err != nil {
				t.Fatal(err)
			}
			want := bytes.Repeat([]byte("0123456789"), 20_000)
			keys := []string{"a", "p/1", "p/2", "p/q/1", "p/q/2", "p/r/1", "p/s", "z"}
			for _, key := range keys {
				in := &s3.PutObjectInput{Bucket: new("b-1"), Key: &key, Body: bytes.NewReader(want), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c, IfNoneMatch: new("*")}
				if _, err := c.PutObject(ctx, in); err != nil {
					t.Fatal(err)
				}
				in.Body = bytes.NewReader(nil)
				if _, err := c.PutObject(ctx, in); code(err) != "PreconditionFailed" {
					t.Errorf("error = %v", err)
				}
			}
			out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: new("b-1"), Key: new("p/1")})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(out.Body); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes came back: %v", len(got), err)
			}
			var got []string
			in := &s3.ListObjectsV2Input{Bucket: new("b-1"), Prefix: new("p/"), Delimiter: new("/")}
			for p := s3.NewListObjectsV2Paginator(c, in); p.HasMorePages(); {
				page, err := p.NextPage(ctx)
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range page.Contents {
					got = append(got, *o.Key)
				}
				for _, g := range page.CommonPrefixes {
					got = append(got, *g.Prefix)
				}
			}
			if g := strings.Join(got, " "); g != "p/1 p/2 p/q/ p/s p/r/" {
				t.Errorf("listed %s", g)
			}
			for range 2 { // what is not there is deleted, too
				if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: new("b-1"), Key: new("p/1")}); err != nil {
					t.Error(err)
				}
			}
			if _, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: new("b-1"), Key: new("p/1")}); code(err) != "NoSuchKey" {
				t.Errorf("error = %v", err)
			}
			other := &s3.GetObjectInput{Bucket: new("b-1"), Key: new("a"), ExpectedBucketOwner: new("123456789012")}
			if _, err := c.GetObject(ctx, other); code(err) != "AccessDenied" {
				t.Errorf("error = %v", err)
			}
			if _, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: new("b-1"), Key: new("a")}); err == nil {
				t.Error("an action that is not served was")
			}
		})
	}
}

// spoiler changes what is sent, after it was signed.
type spoiler struct {
	next   *InProcess
	change func([]byte) []byte
}

func (s spoiler) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(s.change(b)))
	}
	return s.next.Do(r)
}

// A body that got damaged on its way is not kept.
func TestDamagedObjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // trying again takes the SDK no time here
		server := New(Config{S3: S3Config{Buckets: []string{"b-1"}}})
		for name, path := range map[string]bool{"in chunks": false, "signed": true} {
			for where, change := range map[string]func([]byte) []byte{
				"changed": func(b []byte) []byte { return bytes.Replace(b, []byte("5"), []byte("6"), 1) },
				"cut":     func(b []byte) []byte { return b[:len(b)/2] },
			} {
				c := s3Client(server, func(o *s3.Options) {
					o.HTTPClient = spoiler{server.HTTPClient(), change}
					if path {
						o.BaseEndpoint, o.UsePathStyle = new("http://stand-in"), true
					}
				})
				_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: new("b-1"), Key: new("a"), Body: strings.NewReader("0123456789"), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
				if code(err) == "" {
					t.Errorf("%s, %s: error = %v", name, where, err)
				}
			}
		}
		for kind, want := range map[FaultKind]string{FaultThrottle: "SlowDown", FaultError: "InternalError"} {
			server.Faults().Add(Fault{Service: "s3", Do: kind, Times: 3})
			_, err := s3Client(server, func(*s3.Options) {}).GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("b-1"), Key: new("a")})
			if code(err) != want {
				t.Errorf("%s: error = %v", kind, err)
			}
		}
	})
}

func FuzzChunks(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:abc=\r\n\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if data, _, ok := chunks(body); ok && len(data) > len(body) {
			t.Error("more came out than was in")
		}
	})
}
