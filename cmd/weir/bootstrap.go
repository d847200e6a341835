package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"go.uber.org/zap"

	"weir/internal/awshttp"
	"weir/internal/config"
	"weir/internal/source/kinesis"
	"weir/internal/waf"
)

// bootstrapPatience is how long bootstrap waits for AWS, which lets new things
// refer to each other only after minutes.
const bootstrapPatience = 15 * time.Minute

// runBootstrap is `weir bootstrap`.
func runBootstrap(ctx context.Context, w *world) error {
	fs := newFlags(w, "bootstrap", "", "Makes what the service needs, where it is missing: the lease table, IP sets, a\nrule group that blocks what they hold, and a rule in the web ACL that uses it.\nWhat is there is kept; a second run changes nothing.")
	webACL := fs.String("web-acl", "", "`name` or ARN of the web ACL that is to block; none: rules only")
	create := fs.Bool("create-web-acl", false, "make the web ACL if it is not there; it lets everything else pass")
	prefix := fs.String("prefix", "weir-", "of every `name`; the IP sets are PREFIXblock-v4-0 and so on, for WEIR_WAF_SETS=PREFIXblock-")
	v4 := fs.Int("ipv4-sets", 2, "IP sets for IPv4, 10,000 addresses each")
	v6 := fs.Int("ipv6-sets", 1, "IP sets for IPv6, 10,000 networks each")
	dry := fs.Bool("dry-run", false, "change nothing, say what would be done")
	loader := config.Register(fs, "kinesis", "waf", "logger")
	cfg, log, cloud, err := enter(ctx, w, fs, loader)
	if err != nil {
		return err
	}
	report, err := bootstrap(ctx, cloud, cfg.Kinesis.LeaseTable, waf.BootstrapConfig{
		Scope: waftypes.Scope(cfg.WAF.Scope), Prefix: *prefix, IPv4: *v4, IPv6: *v6,
		BlockStatus: cfg.WAF.BlockStatus, WebACL: *webACL, CreateWebACL: *create, DryRun: *dry, Logger: log,
	})
	writeReport(w.stdout, report, *dry)
	return err
}

// bootstrap makes the lease table and what WAF needs. The report tells what was
// done until an error.
func bootstrap(ctx context.Context, cloud aws.Config, leaseTable string, cfg waf.BootstrapConfig) (waf.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, bootstrapPatience)
	defer cancel()
	if !cfg.DryRun {
		client := dynamodb.NewFromConfig(cloud, func(o *dynamodb.Options) { o.HTTPClient = awshttp.New(o.HTTPClient) })
		if err := kinesis.CreateLeaseTable(ctx, client, leaseTable); err != nil {
			return waf.Report{}, err
		}
	}
	region := cloud.Region
	if cfg.Scope == waftypes.ScopeCloudfront {
		region = "us-east-1" // where everything of that scope lives
	}
	return waf.Bootstrap(ctx, wafv2.NewFromConfig(cloud, func(o *wafv2.Options) {
		o.Region, o.HTTPClient = region, awshttp.New(o.HTTPClient)
	}), cfg)
}

// bootstrapDemo prepares the stand-ins as a person would prepare an account.
func bootstrapDemo(ctx context.Context, cloud aws.Config, cfg *config.Config) error {
	_, err := bootstrap(ctx, cloud, cfg.Kinesis.LeaseTable, waf.BootstrapConfig{
		Scope: waftypes.ScopeCloudfront, IPv4: 1, IPv6: 1,
		BlockStatus: cfg.WAF.BlockStatus, WebACL: demoWebACL, Logger: zap.NewNop(),
	})
	return err
}

func writeReport(out io.Writer, report waf.Report, dry bool) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, i := range report.Items {
		done := string(i.Done)
		if dry && i.Done != waf.Kept {
			done = "would be " + done
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", i.Kind, i.Name, done, i.ARN, i.Detail)
	}
	w.Flush()
}
