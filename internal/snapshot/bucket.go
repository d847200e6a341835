package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"weir/internal/awshttp"
)

// bucket is a place in S3. It needs s3:ListBucket on the bucket, and s3:GetObject,
// s3:PutObject and s3:DeleteObject below the prefix.
type bucket struct {
	api    *s3.Client
	name   string
	prefix string  // without slashes around it; "" = none
	owner  *string // nil = it is not checked
}

func newBucket(cfg aws.Config, name, prefix, owner string) *bucket {
	b := &bucket{name: name, prefix: prefix}
	b.api = s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.HTTPClient = awshttp.New(cfg.HTTPClient)
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenSupported
		o.UsePathStyle = o.BaseEndpoint != nil // a stand-in has no name for each bucket
	})
	if owner != "" {
		b.owner = &owner
	}
	return b
}

func (b *bucket) String() string { return "s3://" + path.Join(b.name, b.prefix) }

func (b *bucket) key(name string) *string { return aws.String(path.Join(b.prefix, name)) }

func (b *bucket) list(ctx context.Context, folder string) (files, folders []string, err error) {
	prefix := aws.ToString(b.key(folder))
	if prefix != "" {
		prefix += "/"
	}
	in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix, Delimiter: aws.String("/"), ExpectedBucketOwner: b.owner}
	for {
		out, err := b.api.ListObjectsV2(ctx, in)
		if err != nil {
			return nil, nil, fmt.Errorf("list the snapshots in %s: %w", b, err)
		}
		for _, o := range out.Contents {
			files = append(files, strings.TrimPrefix(aws.ToString(o.Key), prefix))
		}
		for _, p := range out.CommonPrefixes {
			folders = append(folders, strings.Trim(strings.TrimPrefix(aws.ToString(p.Prefix), prefix), "/"))
		}
		if in.ContinuationToken = out.NextContinuationToken; in.ContinuationToken == nil {
			return files, folders, nil
		}
	}
}

func (b *bucket) missing(err error) bool {
	var none *types.NoSuchBucket
	return errors.As(err, &none)
}

func (b *bucket) open(ctx context.Context, name string) (io.ReadCloser, error) {
	out, err := b.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: b.key(name), ExpectedBucketOwner: b.owner})
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}

// put sends the file in one request, from memory: S3 asks for its length first. That
// takes twice the file's size, as the HTTP client has a copy; 5 GB are the most that S3
// takes, and more than any state has.
func (b *bucket) put(ctx context.Context, name string, write func(io.Writer) error) (int64, error) {
	var file pages
	if err := write(&file); err != nil {
		return 0, err
	}
	_, err := b.api.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: b.key(name), Body: &file, ContentType: aws.String("application/octet-stream"),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c, IfNoneMatch: aws.String("*"), ExpectedBucketOwner: b.owner,
	})
	var api smithy.APIError
	if errors.As(err, &api) && (api.ErrorCode() == "PreconditionFailed" || api.ErrorCode() == "ConditionalRequestConflict") {
		return 0, errExists
	}
	if err != nil {
		return 0, err
	}
	return file.size, nil
}

func (b *bucket) remove(ctx context.Context, name string) error {
	_, err := b.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: b.key(name), ExpectedBucketOwner: b.owner})
	return err
}

// drop has nothing to do: there are no folders but in the names of objects.
func (b *bucket) drop(string) error { return nil }
