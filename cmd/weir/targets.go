package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"github.com/gaissmai/bart"
	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/awshttp"
	"weir/internal/ban"
	"weir/internal/config"
	"weir/internal/waf"
)

// target is one place that decisions are written to, and who writes there. Targets
// share nothing but the store and the budgets, so that none waits for another.
type target struct {
	config.Target
	alone  bool // there is no other target
	writer *waf.Writer
	found  atomic.Pointer[bart.Lite] // what its IP sets held that nothing explained; nil: nothing
}

// newTargets makes a writer for each target. It calls nothing of AWS.
func (s *service) newTargets(cloud aws.Config, reg prometheus.Registerer) error {
	budgets := waf.NewBudgets()
	var errs []error
	all := s.cfg.Targets()
	for _, ct := range all {
		t := &target{Target: ct, alone: len(all) == 1}
		log := s.log.Named("waf")
		if t.Name != config.DefaultTarget {
			log = log.Named(t.Name)
		}
		var err error
		t.writer, err = waf.New(waf.Config{
			Client: newWAF(cloud, &ct), Scope: waftypes.Scope(t.Scope), Sets: t.Sets, Target: t.Name,
			WritesPerSecond: t.WritesPerSecond, Budget: budgets, Grace: s.cfg.WAF.ExpiryGrace, DriftPeriod: s.cfg.WAF.Drift,
			Fallback: t.Fallback, DryRun: t.DryRun, Epoch: s.epoch, Confirm: s.confirm,
			Wanted:  func(now time.Time) iter.Seq[waf.Entry] { return s.wanted(t, now) },
			Lookup:  func(p netip.Prefix, now time.Time) (waf.Entry, bool) { return s.lookup(t, p, now) },
			Changes: s.store.Since, Changed: s.store.Subscribe(), Allowed: s.store.AllowedAny,
			Orphans:  func(ctx context.Context, held []waf.Entry) error { return s.adopt(ctx, t, held) },
			Accepted: s.accepted, Removed: s.lifted, Ended: s.store.Ended,
			Watch: &s.watch, Logger: log, Registerer: reg,
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("target %s: %w", t.Name, err))
			continue
		}
		s.targets = append(s.targets, t)
	}
	return errors.Join(errs...)
}

// newWAF makes the client of a target: in its region, with its role.
func newWAF(cloud aws.Config, t *config.Target) *wafv2.Client {
	if t.Role != "" {
		security := sts.NewFromConfig(cloud, func(o *sts.Options) { o.HTTPClient = awshttp.New(o.HTTPClient) })
		provider := stscreds.NewAssumeRoleProvider(security, t.Role, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = t.Session
			if t.ExternalID != "" {
				o.ExternalID = &t.ExternalID
			}
		})
		// Renewed early, so that no call is made with credentials about to end.
		cloud.Credentials = aws.NewCredentialsCache(provider, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = time.Minute })
	}
	return wafv2.NewFromConfig(awshttp.Renew(cloud), func(o *wafv2.Options) {
		o.HTTPClient = awshttp.New(o.HTTPClient)
		if t.Region != "" {
			o.Region = t.Region
		}
	})
}

// title is how messages for people name t; where there is but one, its name says
// nothing.
func (t *target) title() string {
	if t.Name == config.DefaultTarget {
		return "IP sets"
	}
	return "IP sets of target " + t.Name
}

// filters reports whether t does not take everything.
func (t *target) filters() bool { return len(t.Scenarios)+len(t.Origins)+len(t.Actions) > 0 }

// take says which decisions t takes; nil: all.
func (t *target) take() func(*ban.Decision) bool {
	if t.alone && !t.filters() {
		return nil
	}
	return t.takes
}

// takes reports whether t takes a decision. Of what was found in an IP set nobody
// knows who decided it, so it stays where it was found and goes nowhere else.
func (t *target) takes(d *ban.Decision) bool {
	if d.Origin == ban.OriginAdopted {
		found := t.found.Load()
		return found != nil && found.LookupPrefix(d.Prefix)
	}
	return oneOf(t.Actions, string(d.Action)) && oneOf(t.Origins, string(d.Origin)) &&
		(d.Scenario == "" || len(t.Scenarios) == 0 || slices.ContainsFunc(t.Scenarios, func(p string) bool { return nameFits(p, d.Scenario) }))
}

func oneOf(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }

// nameFits reports whether a name is the one that is asked for, or begins as one that
// ends in a *.
func nameFits(pattern, name string) bool {
	if start, open := strings.CutSuffix(pattern, "*"); open {
		return strings.HasPrefix(name, start)
	}
	return name == pattern
}

// note keeps what the sets of t held, besides what is known of that: a set that comes
// late, or the last write of who led before, is told of by itself. It is for one
// goroutine.
func (t *target) note(held []waf.Entry) {
	found := new(bart.Lite)
	if before := t.found.Load(); before != nil {
		found = before.Clone()
	}
	for i := range held {
		found.Insert(held[i].Prefix)
	}
	t.found.Store(found)
}

// entryOf is a decision as a writer wants it.
func entryOf(d *ban.Decision) waf.Entry {
	return waf.Entry{
		Prefix: d.Prefix, Action: string(d.Action), List: d.Origin == ban.OriginList, Manual: d.Origin == ban.OriginManual, Wide: d.Wide,
		Severity: uint8(d.Severity), Scenario: d.Scenario, Origin: string(d.Origin),
		Until: d.Until, Created: d.Created, Hit: d.Hit,
	}
}

// wanted gives a target everything in force that it takes.
func (s *service) wanted(t *target, now time.Time) iter.Seq[waf.Entry] {
	return func(yield func(waf.Entry) bool) {
		for d := range s.store.InForceOf(now, t.take()) {
			if !yield(entryOf(&d)) {
				return
			}
		}
	}
}

// lookup gives a target what of that is about exactly p.
func (s *service) lookup(t *target, p netip.Prefix, now time.Time) (waf.Entry, bool) {
	d, ok := s.store.LookupOf(p, now, t.take())
	if !ok {
		return waf.Entry{}, false
	}
	return entryOf(&d), true
}

// adopt keeps, for a while, the bans that the IP sets of a target held at start and
// the store does not know. Those of lists it does not keep: they are in their files,
// or not wanted any more.
func (s *service) adopt(ctx context.Context, t *target, held []waf.Entry) error {
	t.note(held)
	byAction := make(map[ban.Action][]netip.Prefix)
	for i := range held {
		if e := &held[i]; !e.List {
			byAction[ban.Action(e.Action)] = append(byAction[ban.Action(e.Action)], e.Prefix)
		}
	}
	until := time.Now().Add(s.cfg.Ban.Adopt)
	var errs []error
	for _, action := range ban.Actions() {
		if len(byAction[action]) > 0 {
			errs = append(errs, s.store.Adopt(ctx, byAction[action], action, until))
		}
	}
	return errors.Join(errs...)
}
