package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/ban"
	"weir/internal/config"
	"weir/internal/scenario"
	"weir/internal/waf"
)

// blockStatuses are those that the targets' web ACLs answer with, each once.
func blockStatuses(cfg *config.Config) (list []uint16) {
	for _, t := range cfg.Targets() {
		if status := uint16(t.BlockStatus); !slices.Contains(list, status) {
			list = append(list, status)
		}
	}
	return list
}

// checkTargets has judged what package config knows nothing of: IP sets, and the
// words that targets choose decisions by. loaded gives the scenarios; nil = the
// command reads none.
func checkTargets(l *config.Loader, loaded func() []scenario.Scenario) {
	l.Check(func(c *config.Config) error {
		if c.WAF.Targets != "" {
			return nil
		}
		_, err := waf.ParseSets(c.WAF.Sets, waftypes.Scope(c.WAF.Scope))
		return err
	}, "WEIR_WAF_SETS", "WEIR_WAF_SCOPE", "WEIR_WAF_TARGETS")
	l.Check(func(c *config.Config) error {
		all := c.Targets()
		if c.WAF.Targets == "" || all[0].Where == "" { // of a file without any it is told
			return nil
		}
		var errs []error
		owned := make([]waf.Selection, 0, len(all))
		for i, t := range all {
			sets, err := waf.ParseSets(t.Sets, waftypes.Scope(t.Scope))
			errs = append(errs, at(t.Where, "sets", err), at(t.Where, "actions", checkWords(t.Actions, ban.Actions())),
				at(t.Where, "origins", checkWords(t.Origins, ban.Origins())), at(t.Where, "scenarios", checkNames(t.Scenarios, loaded())))
			for j, other := range all[:i] {
				if !t.Wrong && !other.Wrong && t.Scope == other.Scope && t.Region == other.Region && t.Role == other.Role {
					errs = append(errs, at(t.Where, "sets", checkApart(sets, owned[j], other.Name)))
				}
			}
			owned = append(owned, sets)
		}
		return errors.Join(errs...)
	}, "WEIR_WAF_TARGETS")
}

// at says where in a file an error is, and each of those that it joins.
func at(where, key string, err error) error {
	if err == nil {
		return nil
	}
	var errs []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		errs = append(errs, fmt.Errorf("%s: %s: %s", where, key, line))
	}
	return errors.Join(errs...)
}

func checkWords[T ~string](list []string, known []T) error {
	var errs []error
	for _, s := range list {
		if !slices.Contains(known, T(s)) {
			errs = append(errs, fmt.Errorf("there is no %q: there are %q", s, known))
		}
	}
	return errors.Join(errs...)
}

// checkNames finds names of no scenario that is loaded: a target that takes nothing
// would do so without a word.
func checkNames(patterns []string, loaded []scenario.Scenario) error {
	if loaded == nil {
		return nil
	}
	var errs []error
	for _, p := range patterns {
		if !slices.ContainsFunc(loaded, func(s scenario.Scenario) bool { return nameFits(p, s.Name) }) {
			errs = append(errs, fmt.Errorf("no scenario is named %q: see weir scenarios", p))
		}
	}
	return errors.Join(errs...)
}

// checkApart refuses two targets that would write the same IP sets, each undoing
// what the other wrote.
func checkApart(sets, owned waf.Selection, by string) error {
	for _, a := range sets.Prefixes {
		for _, b := range owned.Prefixes {
			if strings.HasPrefix(a.Prefix, b.Prefix) || strings.HasPrefix(b.Prefix, a.Prefix) {
				return fmt.Errorf("IP sets whose names start with %q may be those of target %s, %q: two targets never share a set", a.Prefix, by, b.Prefix)
			}
		}
		for _, b := range owned.ARNs {
			if strings.HasPrefix(b.ARN.Name, a.Prefix) {
				return fmt.Errorf("IP sets whose names start with %q: %s is of target %s, and two targets never share a set", a.Prefix, b.ARN, by)
			}
		}
	}
	for _, a := range sets.ARNs {
		for _, b := range owned.Prefixes {
			if strings.HasPrefix(a.ARN.Name, b.Prefix) {
				return fmt.Errorf("%s is one of those of target %s, %q: two targets never share a set", a.ARN, by, b.Prefix)
			}
		}
		if slices.ContainsFunc(owned.ARNs, func(b waf.SetARN) bool { return a.ARN == b.ARN }) {
			return fmt.Errorf("%s is of target %s, too: two targets never share a set", a.ARN, by)
		}
	}
	return nil
}
