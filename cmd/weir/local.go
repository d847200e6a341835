package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/awslocal"
)

// bucketName is what S3 takes for the name of a bucket, but for rules about dots.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// runLocal serves the stand-ins on a port until it is told to stop.
func runLocal(ctx context.Context, w *world) error {
	fs := newFlags(w, "local", "", "Runs stand-ins for Kinesis, DynamoDB, S3, WAF and STS on a port, for any AWS client:\nset AWS_ENDPOINT_URL to what it prints. What they hold is gone when it stops.")
	listen := fs.String("listen", "127.0.0.1:4599", "`address` to listen on; a loopback address, since nothing is checked")
	streams := fs.String("stream", "", "streams to make, as `NAME:SHARDS,...`")
	buckets := fs.String("bucket", "", "S3 buckets to make, as `NAME,...`")
	webACL := fs.String("web-acl", "", "web ACL to make, in scope CLOUDFRONT: its `name`")
	faults := fs.String("faults", "", "fault script: a JSON `file`")
	if err := parseFlags(fs, w); err != nil {
		return err
	}
	if err := noArguments(fs); err != nil {
		return err
	}
	cfg := awslocal.Config{}
	if *buckets != "" {
		for name := range strings.SplitSeq(*buckets, ",") {
			if name = strings.TrimSpace(name); !bucketName.MatchString(name) {
				return usageError("-bucket %q: a bucket's name is 3 to 63 of a-z, 0-9, - and ., and begins and ends with a letter or digit", name)
			}
			cfg.S3.Buckets = append(cfg.S3.Buckets, name)
		}
	}
	if *faults != "" {
		f, err := os.Open(*faults)
		if err != nil {
			return err
		}
		cfg.Faults, err = awslocal.ParseFaults(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", *faults, err)
		}
	}
	server := awslocal.New(cfg)
	aws := standInAWS(server)
	if *streams != "" {
		for spec := range strings.SplitSeq(*streams, ",") {
			name, shards, err := parseStream(strings.TrimSpace(spec))
			if err == nil {
				err = makeStream(ctx, aws, name, shards)
			}
			if err != nil {
				return err
			}
		}
	}
	if *webACL != "" {
		if err := makeWebACL(ctx, aws, *webACL); err != nil {
			return err
		}
	}
	return serveLocal(ctx, w, *listen, server)
}

func serveLocal(ctx context.Context, w *world, listen string, handler http.Handler) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	if a, ok := ln.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		ln.Close()
		return usageError("-listen %s: not a loopback address, and the stand-ins trust everyone", listen)
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	fmt.Fprintf(w.stdout, "AWS_ENDPOINT_URL=http://%s\n", ln.Addr())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	if err := srv.Close(); err != nil {
		return err
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// parseStream reads NAME or NAME:SHARDS.
func parseStream(spec string) (name string, shards int32, err error) {
	name, count, found := strings.Cut(spec, ":")
	if !found {
		return name, 1, nil
	}
	n, err := strconv.ParseInt(count, 10, 32)
	if err != nil || n < 1 || n > 500 || name == "" {
		return "", 0, usageError("-stream %q: want NAME:SHARDS with 1 to 500 shards", spec)
	}
	return name, int32(n), nil
}

// makeStream makes a stream in the stand-in, where it is ready at once.
func makeStream(ctx context.Context, cfg aws.Config, name string, shards int32) error {
	_, err := kinesis.NewFromConfig(cfg).CreateStream(ctx, &kinesis.CreateStreamInput{
		StreamName: aws.String(name), ShardCount: aws.Int32(shards),
	})
	if err != nil {
		return fmt.Errorf("make stream %s: %w", name, err)
	}
	return nil
}

// makeWebACL makes an empty web ACL that lets everything through.
func makeWebACL(ctx context.Context, cfg aws.Config, name string) error {
	_, err := wafv2.NewFromConfig(cfg).CreateWebACL(ctx, &wafv2.CreateWebACLInput{
		Name: aws.String(name), Scope: waftypes.ScopeCloudfront,
		DefaultAction: &waftypes.DefaultAction{Allow: &waftypes.AllowAction{}},
		VisibilityConfig: &waftypes.VisibilityConfig{
			CloudWatchMetricsEnabled: true, SampledRequestsEnabled: true, MetricName: aws.String(name),
		},
	})
	if err != nil {
		return fmt.Errorf("make web ACL %s: %w", name, err)
	}
	return nil
}
