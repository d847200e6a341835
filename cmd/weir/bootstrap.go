package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"go.uber.org/zap"

	"weir/internal/ban"
	"weir/internal/config"
	"weir/internal/source/kinesis"
	"weir/internal/waf"
)

// bootstrapPatience is how long bootstrap waits for AWS, which lets new things
// refer to each other, and old ones go, only after minutes.
const bootstrapPatience = 15 * time.Minute

// defaultSets let scenarios ban and, in stage mode, count, and imported lists be
// enforced: IP sets that stay empty cost nothing.
const defaultSets = "block=2/1,count=1/1,list=1/1"

const bootstrapAbout = `Makes what the service needs, where it is missing: the lease table, one more if
WEIR_REKEY_STREAM is set, the table of decisions if WEIR_BAN_TABLE names one, IP sets, a
rule group with a rule for each pool of them, and a rule in the web ACL that uses it. What is there is kept, flags that are
not given leave it as it is, and a second run changes nothing. -remove undoes it: the
IP sets, which hold the bans, and the tables stay.`

// runBootstrap is `weir bootstrap`.
func runBootstrap(ctx context.Context, w *world) error {
	fs := newFlags(w, "bootstrap", "", bootstrapAbout)
	webACL := fs.String("web-acl", "", "`name` or ARN of the web ACL that is to use the rules; none: rules only, and with -remove every web ACL that uses them")
	create := fs.Bool("create-web-acl", false, "make the web ACL if it is not there; it lets everything else pass")
	named := fs.String("target", "", "`name` of the target, where there are several")
	prefix := fs.String("prefix", "weir-", "of every `name`: the IP sets are PREFIXblock-v4-0 and so on, the rule group is PREFIXbans")
	sets := fs.String("sets", defaultSets, "`numbers` of IP sets for IPv4 and IPv6, 10,000 entries each, 50 together: POOL=4/2,... where POOL is one of "+strings.Join(waf.PoolWords(), ", "))
	answer := registerAnswer(fs)
	remove := fs.Bool("remove", false, "take the rule out of the web ACL and delete the rule group")
	removeSets := fs.Bool("remove-sets", false, "with -remove: delete the IP sets, too, and with them all bans")
	force := fs.Bool("force", false, "with -remove: delete also what people added to the rule group and the IP sets")
	dry := fs.Bool("dry-run", false, "change nothing, say what would be done")
	loader := config.Register(fs, "kinesis", "rekey", "ban", "waf", "logger")
	cfg, log, cloud, err := enter(ctx, w, fs, loader, 0)
	if err != nil {
		return err
	}
	if err := checkRemoval(fs, *remove); err != nil {
		return err
	}
	targets, elsewhere, err := operated(cfg, *named)
	if err == nil && len(targets)+len(elsewhere) > 1 {
		err = usageError("there are several targets, in different places: say which by -target")
	}
	if err != nil {
		return err
	}
	t := &targets[0]
	if *remove {
		ctx, cancel := context.WithTimeout(ctx, bootstrapPatience)
		defer cancel()
		report, err := waf.Remove(ctx, newWAF(cloud, t), waf.RemoveConfig{
			Scope: waftypes.Scope(t.Scope), Prefix: *prefix, WebACL: *webACL, IPSets: *removeSets, Force: *force, DryRun: *dry, Logger: log,
		})
		writeReport(w.stdout, report, *dry)
		return err
	}
	provision := waf.BootstrapConfig{
		Scope: waftypes.Scope(t.Scope), Prefix: *prefix, BlockStatus: askedStatus(cfg, t),
		WebACL: *webACL, CreateWebACL: *create, DryRun: *dry, Logger: log,
	}
	if provision.Sets, err = waf.ParseSetCounts(*sets); err != nil {
		return usageError("-sets: %v", err)
	}
	if err := answer.apply(fs, &provision); err != nil {
		return err
	}
	report, err := bootstrap(ctx, cloud, newWAF(cloud, t), tablesOf(cfg), provision)
	writeReport(w.stdout, report, *dry)
	if is := report.BlockStatus; is != 0 && is != t.BlockStatus {
		fmt.Fprintf(w.stderr, "the rules answer banned clients with status %d, as they did before, and the service takes %d for its own: run it with WEIR_WAF_BLOCK_STATUS=%[1]d, or this again with -waf-block-status %[2]d\n", is, t.BlockStatus)
	}
	return err
}

// askedStatus is the status that banned clients are to be answered with, if somebody
// said so; 0 = as it is.
func askedStatus(cfg *config.Config, t *config.Target) int {
	said := t.BlockStatus != cfg.WAF.BlockStatus // by the targets file
	for _, v := range cfg.Values() {
		said = said || v.Name == "WEIR_WAF_BLOCK_STATUS" && v.Origin != config.OriginDefault
	}
	if said {
		return t.BlockStatus
	}
	return 0
}

// tableNames are the tables that a service needs.
type tableNames struct {
	leases string
	rekey  string // leases of the stream between tasks; "" = none: there is one task
	bans   string // "" = none: decisions are kept in a file
}

func tablesOf(cfg *config.Config) tableNames {
	names := tableNames{leases: cfg.Kinesis.LeaseTable, bans: cfg.Ban.Table}
	if cfg.Rekey.Stream != "" {
		names.rekey = cfg.Rekey.LeaseTable
	}
	return names
}

// bootstrap makes what WAF needs and the tables. The report tells what was done until
// an error.
func bootstrap(ctx context.Context, cloud aws.Config, client *wafv2.Client, names tableNames, cfg waf.BootstrapConfig) (waf.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, bootstrapPatience)
	defer cancel()
	report, err := waf.Bootstrap(ctx, client, cfg) // first, as it finds what makes no sense
	if err != nil {
		return report, err
	}
	tables := newTables(cloud)
	for _, t := range []struct {
		tableMaker
		name string
	}{{leaseTables, names.leases}, {leaseTables, names.rekey}, {banTables, names.bans}} {
		if t.name == "" {
			continue
		}
		item, err := t.bootstrap(ctx, tables, t.name, cfg.DryRun)
		if err != nil {
			return report, err
		}
		report.Items = append(report.Items, item)
	}
	return report, nil
}

// tableMaker makes tables of a kind, and tells whether there is one.
type tableMaker struct {
	kind   string
	has    func(context.Context, *dynamodb.Client, string) (bool, error)
	create func(context.Context, *dynamodb.Client, string) error
}

var (
	leaseTables = tableMaker{"lease table", kinesis.HasLeaseTable, kinesis.CreateLeaseTable}
	banTables   = tableMaker{"ban table", ban.HasTable, ban.CreateTable}
)

// bootstrap makes a table if it is missing, and tells of it.
func (m tableMaker) bootstrap(ctx context.Context, client *dynamodb.Client, name string, dry bool) (waf.Item, error) {
	item := waf.Item{Kind: m.kind, Name: name, Done: waf.Kept}
	there, err := m.has(ctx, client, name)
	if err != nil {
		return item, err
	}
	if !there {
		item.Done = waf.Created
	}
	if !dry { // one that is there may not be ready
		err = m.create(ctx, client, name)
	}
	return item, err
}

// operated gives the targets that an operator means by a name: all for none, but
// each place once. Operators act with their own credentials, as the role that the
// service takes on must not have their rights. Credentials are good for one account:
// elsewhere names targets of a place that is given already, but in another account.
func operated(cfg *config.Config, name string) (list []config.Target, elsewhere []string, err error) {
	var names []string
	for _, t := range cfg.Targets() {
		names = append(names, t.Name)
		if name != "" && t.Name != name {
			continue
		}
		i := slices.IndexFunc(list, func(o config.Target) bool { return o.Scope == t.Scope && o.Region == t.Region })
		switch {
		case i < 0:
			list = append(list, t)
		case accountOf(list[i].Role) != accountOf(t.Role):
			elsewhere = append(elsewhere, t.Name)
		}
	}
	for i := range list {
		list[i].Role = ""
	}
	if len(list) == 0 {
		return nil, nil, usageError("-target %s: there is no such target, only %s", name, strings.Join(names, ", "))
	}
	return list, elsewhere, nil
}

// accountOf gives the account of a role's ARN; "" = there is no role.
func accountOf(role string) string {
	if parts := strings.SplitN(role, ":", 6); len(parts) == 6 {
		return parts[4]
	}
	return ""
}

// bootstrapDemo prepares the stand-ins as a person would prepare an account.
func bootstrapDemo(ctx context.Context, cloud aws.Config, cfg *config.Config) error {
	t := cfg.Targets()[0]
	_, err := bootstrap(ctx, cloud, newWAF(cloud, &t), tablesOf(cfg), waf.BootstrapConfig{
		Scope: waftypes.ScopeCloudfront, Sets: map[string]waf.SetCount{"block": {IPv4: 1, IPv6: 1}},
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
