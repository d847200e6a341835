package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"go.uber.org/zap"
	logged "go.uber.org/zap/zaptest/observer"

	"weir/internal/awslocal"
	"weir/internal/ban"
	"weir/internal/config"
	"weir/internal/waf"
)

func TestTakes(t *testing.T) {
	p := netip.MustParsePrefix("192.0.2.1/32")
	login := ban.Decision{Prefix: p, Action: ban.Block, Origin: ban.OriginScenario, Scenario: "http-login-slow"}
	manual := ban.Decision{Prefix: p, Action: ban.Captcha, Origin: ban.OriginManual}
	adopted := ban.Decision{Prefix: p, Action: ban.Block, Origin: ban.OriginAdopted}
	all := &target{alone: true}
	if all.take() != nil {
		t.Error("the only target, which takes everything, chooses")
	}
	for _, tt := range []struct {
		scenarios, origins, actions string
		login, manual, adopted      bool
	}{
		{"", "", "", true, true, false},
		{"http-login-slow", "", "", true, true, false},
		{"http-login*", "", "", true, true, false},
		{"http-login", "", "", false, true, false},
		{"http-probing,http-l*", "scenario", "", true, false, false},
		{"", "manual", "", false, true, false},
		{"", "adopted", "", false, false, false},
		{"", "", "block", true, false, false},
		{"", "", "captcha,count", false, true, false},
		{"http-login*", "scenario", "captcha", false, false, false},
	} {
		split := func(s string) []string {
			return slices.DeleteFunc(strings.Split(s, ","), func(s string) bool { return s == "" })
		}
		target := &target{Target: config.Target{Scenarios: split(tt.scenarios), Origins: split(tt.origins), Actions: split(tt.actions)}}
		take := target.take()
		takes := func(d ban.Decision) bool { return take(&d) }
		if takes(login) != tt.login || takes(manual) != tt.manual || takes(adopted) != tt.adopted {
			t.Errorf("%+v: takes %t, %t, %t", tt, takes(login), takes(manual), takes(adopted))
		}
		// What it had at start, it keeps.
		target.note([]waf.Entry{{Prefix: p}})
		if !takes(adopted) {
			t.Errorf("%+v: does not take what its own IP set held", tt)
		}
		// And so it does when more of that comes to light.
		target.note([]waf.Entry{{Prefix: netip.MustParsePrefix("192.0.2.2/32")}})
		if !takes(adopted) {
			t.Errorf("%+v: does not take any more what its own IP set held", tt)
		}
	}
}

// market is a service with several targets, and the stand-ins that it talks to.
type market struct {
	t       *testing.T
	server  *awslocal.Server
	cloud   aws.Config
	service *service
	logs    *logged.ObservedLogs
	ended   chan error // how its run ended
	cancel  func()
}

// stop ends the service as a signal would.
func (m *market) stop() error {
	m.cancel()
	return <-m.ended
}

// held is what an IP set holds when the service starts, as one of a process before.
type held struct{ region, set, prefix string }

const (
	serviceKey = "AKIASERVICE"
	shopRole   = "arn:aws:iam::123456789012:role/shop"
	brokenRole = "arn:aws:iam::123456789012:role/broken"
)

// newMarket starts a service that writes to IP sets of scope CLOUDFRONT, to those of
// a region with a role, and would to others if it were let.
func newMarket(t *testing.T, targets string, observe observer, before ...held) *market {
	t.Helper()
	m := &market{t: t, ended: make(chan error, 1), server: awslocal.New(awslocal.Config{STS: awslocal.STSConfig{Roles: map[string]string{shopRole: "sesame"}}})}
	m.cloud = standInAWS(m.server)
	m.makeSet("us-east-1", "weir-block-v4-0")
	m.makeSet("eu-central-1", "shop-block-v4-0")
	m.makeSet("us-east-1", "weir-captcha-v4-0")
	for _, h := range before {
		m.leave(h)
	}
	file := filepath.Join(t.TempDir(), "targets.yaml")
	if err := os.WriteFile(file, []byte(targets), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := testSettings(t, "WEIR_WAF_TARGETS="+file, "WEIR_STATE_SNAPSHOT="+t.TempDir())
	cfg.WAF.Drift = 200 * time.Millisecond
	if err := makeStream(t.Context(), m.cloud, cfg.Kinesis.Stream, 1); err != nil {
		t.Fatal(err)
	}
	if err := makeWebACL(t.Context(), m.cloud, demoWebACL); err != nil {
		t.Fatal(err)
	}
	if err := bootstrapDemo(t.Context(), m.cloud, cfg); err != nil {
		t.Fatal(err)
	}
	core, logs := logged.New(zap.InfoLevel)
	m.logs = logs
	var err error
	cloud := m.cloud // by another key, so that its calls are told from those of the test
	cloud.Credentials = credentials.NewStaticCredentialsProvider(serviceKey, "secret", "")
	if m.service, err = newService(t.Context(), cfg, cloud, zap.New(core), observe); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, m.cancel = context.WithCancel(t.Context())
	go func() { m.ended <- m.service.run(ctx) }()
	return m
}

func scopeOf(region string) waftypes.Scope {
	if region == "us-east-1" {
		return waftypes.ScopeCloudfront
	}
	return waftypes.ScopeRegional
}

func (m *market) waf(region string) *wafv2.Client {
	return wafv2.NewFromConfig(m.cloud, func(o *wafv2.Options) { o.Region = region })
}

func (m *market) makeSet(region, name string) {
	m.t.Helper()
	_, err := m.waf(region).CreateIPSet(m.t.Context(), &wafv2.CreateIPSetInput{
		Name: &name, Scope: scopeOf(region), IPAddressVersion: waftypes.IPAddressVersionIpv4, Addresses: []string{},
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// leave writes a set as a Weir does that ends after it.
func (m *market) leave(h held) {
	m.t.Helper()
	ctx, stop := context.WithCancel(m.t.Context())
	w, err := waf.New(waf.Config{
		Client: m.waf(h.region), Scope: scopeOf(h.region), Sets: []string{"weir-", "shop-"}, WritesPerSecond: 1,
		Wanted: func(now time.Time) iter.Seq[waf.Entry] {
			return slices.Values([]waf.Entry{{Prefix: netip.MustParsePrefix(h.prefix), Action: strings.Split(h.set, "-")[1], Until: now.Add(time.Hour), Created: now}})
		},
		Accepted: func([]netip.Prefix, time.Time) { stop() },
	})
	if err != nil {
		m.t.Fatal(err)
	}
	if err := w.Run(ctx); err != nil {
		m.t.Fatal(err)
	}
	if !m.holds(h.region, h.set, strings.TrimSuffix(h.prefix, "/32")) {
		m.t.Fatalf("%+v was not left", h)
	}
}

// laterLeader writes the shop's set as one would that began to lead after the
// service, and gives the description that it left.
func (m *market) laterLeader() string {
	m.t.Helper()
	later := fmt.Sprintf("weir v1 ep:%d gen:1 n:0 sum:%016x exp:0", time.Now().Add(time.Minute).UnixMilli(), 0)
	eventually(m.t, "a later leader writes the shop's set", func() bool {
		set := m.set("eu-central-1", "shop-block-v4-0")
		_, err := m.waf("eu-central-1").UpdateIPSet(m.t.Context(), &wafv2.UpdateIPSetInput{
			Scope: waftypes.ScopeRegional, Id: set.IPSet.Id, Name: set.IPSet.Name, Description: &later, LockToken: set.LockToken, Addresses: []string{},
		})
		return err == nil
	})
	return later
}

// staysWithinItsRights: with its own credentials the service does what its task role
// allows, and takes on roles; with theirs it does what WAF needs of that.
func (m *market) staysWithinItsRights() {
	m.t.Helper()
	own, roles := rights(m.t), allowedBy(m.t, "assume-role.json")
	calls := 0
	for _, call := range m.server.Calls() {
		action := call.Service + ":" + call.Action
		taken := strings.HasPrefix(call.Key, "ASIA")
		if call.Key != serviceKey && !taken {
			continue
		}
		calls++
		if !own[action] && (taken || !roles[action]) || taken && call.Service != "wafv2" {
			m.t.Errorf("%s is called with the key %s, and no policy in deploy allows it", action, call.Key)
		}
	}
	if calls == 0 {
		m.t.Error("no call of the service was recorded")
	}
}

// shown is how many decisions the log has shown to work.
func (m *market) shown() (n uint64) {
	m.t.Helper()
	families, err := m.service.registry.Gather()
	if err != nil {
		m.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "weir_decision_to_blocked_seconds" {
			n = f.GetMetric()[0].GetHistogram().GetSampleCount()
		}
	}
	return n
}

// knowsMetrics: what a text tells people to watch is a metric, and has a help text. What
// tasks have that count together is left to them.
func (m *market) knowsMetrics(file string) {
	m.t.Helper()
	knowMetrics(m.t, file, func(name string) bool { return !ofRoles.MatchString(name) }, m.service)
}

// ofRoles are metrics of tasks that count together.
var ofRoles = regexp.MustCompile("^weir_(ingest|rekey)_")

// knowMetrics checks some of the metrics that a text speaks of: one of the services has each.
func knowMetrics(t *testing.T, file string, some func(name string) bool, services ...*service) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	help := map[string]string{}
	for _, s := range services {
		families, err := s.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			help[f.GetName()] = f.GetHelp()
		}
	}
	_, table, _ := strings.Cut(string(text), "### What to watch")
	table, _, _ = strings.Cut(table, "\n## ")
	found := false
	for _, name := range regexp.MustCompile("`(weir_[a-z_]+)").FindAllStringSubmatch(table, -1) {
		if !some(name[1]) {
			continue
		}
		found = true
		if help[name[1]] == "" {
			t.Errorf("%s speaks of %s, and there is no such metric", file, name[1])
		}
	}
	if !found {
		t.Errorf("%s names no metric", file)
	}
}

// set reads an IP set.
func (m *market) set(region, name string) *wafv2.GetIPSetOutput {
	m.t.Helper()
	list, err := m.waf(region).ListIPSets(m.t.Context(), &wafv2.ListIPSetsInput{Scope: scopeOf(region)})
	if err != nil {
		m.t.Fatal(err)
	}
	i := slices.IndexFunc(list.IPSets, func(s waftypes.IPSetSummary) bool { return *s.Name == name })
	if i < 0 {
		m.t.Fatalf("no IP set %s in %s", name, region)
	}
	out, err := m.waf(region).GetIPSet(m.t.Context(), &wafv2.GetIPSetInput{Scope: scopeOf(region), Id: list.IPSets[i].Id, Name: &name})
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

func (m *market) holds(region, name, address string) bool {
	m.t.Helper()
	return slices.Contains(m.set(region, name).IPSet.Addresses, address+"/32")
}

func (m *market) put(record []byte) {
	m.t.Helper()
	_, err := kinesis.NewFromConfig(m.cloud).PutRecords(m.t.Context(), &kinesis.PutRecordsInput{
		StreamName: aws.String("log"), Records: []types.PutRecordsRequestEntry{{Data: record, PartitionKey: aws.String("x")}},
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// Every target gets its decisions with its own role and region, and one that fails
// keeps none waiting. What a person takes out of one target's set is unbanned
// everywhere, and what was logged before does not ban it again.
func TestSeveralTargets(t *testing.T) {
	var accepted atomic.Int32
	m := newMarket(t, fmt.Sprintf(`
targets:
- {name: site, sets: weir-}
- {name: shop, scope: REGIONAL, region: eu-central-1, role: %q, external_id: sesame, sets: shop-, origins: [scenario]}
- {name: bar, scope: REGIONAL, region: eu-west-1, role: %q, sets: bar-}
`, shopRole, brokenRole), observer{enforced: func(ban.Decision, time.Time) { accepted.Add(1) }})
	record := exploit("45.9.1.1")
	m.put(record)
	if _, err := m.service.store.Add(t.Context(), ban.Decision{Prefix: netip.MustParsePrefix("45.9.1.2/32")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both bans are in the set of the site, and the scenario's in that of the shop", func() bool {
		return m.holds("us-east-1", "weir-block-v4-0", "45.9.1.1") && m.holds("us-east-1", "weir-block-v4-0", "45.9.1.2") &&
			m.holds("eu-central-1", "shop-block-v4-0", "45.9.1.1")
	})
	if m.holds("eu-central-1", "shop-block-v4-0", "45.9.1.2") {
		t.Error("the shop takes a ban by hand")
	}
	// They are told of when the answers to the writes are there.
	eventually(t, "both bans are told as enforced", func() bool { return accepted.Load() >= 2 })
	eventually(t, "nothing is missing but the bar's role", func() bool {
		why := m.service.notReady()
		return len(why) == 1 && strings.HasPrefix(why[0], "IP sets of target bar: ") && strings.Contains(why[0], "AccessDenied")
	})
	for _, call := range m.server.Calls() {
		if call.Action == "UpdateIPSet" && strings.HasPrefix(call.Key, "ASIA") != strings.HasPrefix(call.Resource, "shop-") {
			t.Errorf("%s of %s with the key %s", call.Action, call.Resource, call.Key)
		}
	}

	// An answer of WAF's in the log shows that the ban works.
	if n := m.shown(); n != 0 {
		t.Errorf("%d bans were seen to work before the log said so", n)
	}
	m.put(fmt.Appendf(nil, "%d.000\t45.9.1.2\t429\tGET\twww.example.com\t/\tblocked\tHTTP/1.1\tcurl/8", time.Now().Unix()+1))
	eventually(t, "a ban is seen to work", func() bool { return m.shown() == 1 })

	// By hand, at the shop's console.
	eventually(t, "an address is taken out", func() bool {
		set := m.set("eu-central-1", "shop-block-v4-0")
		_, err := m.waf("eu-central-1").UpdateIPSet(t.Context(), &wafv2.UpdateIPSetInput{
			Scope: waftypes.ScopeRegional, Id: set.IPSet.Id, Name: set.IPSet.Name, Description: set.IPSet.Description,
			LockToken: set.LockToken, Addresses: []string{},
		})
		return err == nil
	})
	eventually(t, "it is unbanned everywhere", func() bool { return !m.holds("us-east-1", "weir-block-v4-0", "45.9.1.1") })
	handled := m.service.handled()
	m.put([]byte(strings.Replace(string(record), "request-of", "another-request-of", 1)))
	eventually(t, "an older record of it is read", func() bool { return m.service.handled() > handled })
	if len(m.service.store.Covering(netip.MustParsePrefix("45.9.1.1/32"), time.Now())) > 0 {
		t.Error("what was logged before the unban has banned it again")
	}
	m.knowsMetrics("../../README.md")
	if err := m.stop(); err != nil {
		t.Error(err)
	}
	if n := accepted.Load(); n != 2 {
		t.Errorf("%d bans were told as enforced, want 2: each once, whatever the number of targets", n)
	}
	if !m.holds("us-east-1", "weir-block-v4-0", "45.9.1.2") {
		t.Error("the other ban is gone")
	}
	m.staysWithinItsRights()
}

// A service that finds that a later one leads writes nothing more, and ends with an
// error that says so, to be started again as a standby.
func TestDeposed(t *testing.T) {
	m := newMarket(t, "targets:\n- {name: site, sets: weir-}\n- {name: shop, scope: REGIONAL, region: eu-central-1, sets: shop-}\n", observer{})
	before := uint64(m.service.began.UnixMilli())
	m.put(exploit("45.9.1.1"))
	eventually(t, "both sets hold the ban", func() bool {
		return m.holds("us-east-1", "weir-block-v4-0", "45.9.1.1") && m.holds("eu-central-1", "shop-block-v4-0", "45.9.1.1")
	})
	for _, target := range m.service.Targets() {
		if now := uint64(time.Now().UnixMilli()); target.Epoch < before || target.Epoch > now {
			t.Errorf("epoch %d of target %s: want when it began to lead, from %d to %d", target.Epoch, target.Name, before, now)
		}
	}
	later := m.laterLeader()
	select {
	case err := <-m.ended:
		if !errors.Is(err, waf.ErrDeposed) || !strings.Contains(err.Error(), "shop-block-v4-0") || !strings.Contains(err.Error(), "as a standby") {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	if set := m.set("eu-central-1", "shop-block-v4-0"); len(set.IPSet.Addresses) > 0 || *set.IPSet.Description != later {
		t.Errorf("the later leader's set was written: %v, %s", set.IPSet.Addresses, *set.IPSet.Description)
	}
}

// What the sets held at start and nothing explains stays with the action that its
// set is for, in the target where it was found.
func TestAdoptedAsFound(t *testing.T) {
	m := newMarket(t, "targets:\n- {name: site, sets: weir-}\n- {name: shop, scope: REGIONAL, region: eu-central-1, sets: shop-, origins: [manual]}\n",
		observer{}, held{"us-east-1", "weir-captcha-v4-0", "45.9.1.1/32"}, held{"eu-central-1", "shop-block-v4-0", "45.9.1.2/32"})
	eventually(t, "the service is ready, and knows of both", func() bool {
		return len(m.service.notReady()) == 0 && len(m.service.store.Covering(netip.MustParsePrefix("45.9.1.1/32"), time.Now())) == 1 &&
			len(m.service.store.Covering(netip.MustParsePrefix("45.9.1.2/32"), time.Now())) == 1
	})
	for client, action := range map[string]ban.Action{"45.9.1.1/32": ban.Captcha, "45.9.1.2/32": ban.Block} {
		if d, ok := m.service.store.Lookup(netip.MustParsePrefix(client), time.Now()); !ok || d.Action != action || d.Origin != ban.OriginAdopted {
			t.Errorf("%s is adopted as %+v, want to %s", client, d, action)
		}
	}
	// A write of each target later, each is where it was and nowhere else.
	if _, err := m.service.store.Add(t.Context(), ban.Decision{Prefix: netip.MustParsePrefix("45.9.1.3/32")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both targets have a ban by hand", func() bool {
		return m.holds("us-east-1", "weir-block-v4-0", "45.9.1.3") && m.holds("eu-central-1", "shop-block-v4-0", "45.9.1.3")
	})
	if !m.holds("us-east-1", "weir-captcha-v4-0", "45.9.1.1") || m.holds("us-east-1", "weir-block-v4-0", "45.9.1.2") || m.holds("us-east-1", "weir-block-v4-0", "45.9.1.1") ||
		!m.holds("eu-central-1", "shop-block-v4-0", "45.9.1.2") || m.holds("eu-central-1", "shop-block-v4-0", "45.9.1.1") {
		t.Errorf("the sets hold %v, %v and %v", m.set("us-east-1", "weir-captcha-v4-0").IPSet.Addresses,
			m.set("us-east-1", "weir-block-v4-0").IPSet.Addresses, m.set("eu-central-1", "shop-block-v4-0").IPSet.Addresses)
	}
	if err := m.stop(); err != nil {
		t.Error(err)
	}
}
