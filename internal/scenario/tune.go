package scenario

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// variablePrefix begins every variable that tunes a scenario.
const variablePrefix = "WEIR_SCENARIO_"

// keys are the last words of variables, and what each sets.
var keys = map[string]func(s *Scenario, value string) error{
	"CAPACITY": func(s *Scenario, value string) error {
		if s.Kind != Leaky {
			return fmt.Errorf("a %v scenario has no capacity", s.Kind)
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("not a number: allowed are %d to %d", MinCapacity, MaxCapacity)
		}
		s.Capacity = n
		return checkCapacity(n)
	},
	"LEAKSPEED": func(s *Scenario, value string) error {
		if s.Kind == Trigger {
			return fmt.Errorf("a %v scenario has no leak speed", s.Kind)
		}
		return setDuration(&s.Leak, "leak speed", value, MinLeak, MaxLeak)
	},
	"BLACKHOLE": func(s *Scenario, value string) error {
		return setDuration(&s.Blackhole, "blackhole", value, MinBlackhole, MaxBlackhole)
	},
	"CACHE_SIZE": func(s *Scenario, value string) error {
		return setNumber(&s.CacheSize, "cache size", value, 0, MaxCacheSize)
	},
	"DRAIN": func(s *Scenario, value string) error {
		if s.drain.text == "" {
			return errors.New("nothing drains this scenario")
		}
		return setNumber(&s.drainBy, "drain", value, 1, maxDrain)
	},
	"RANGE_IPV4": func(s *Scenario, value string) error {
		return setBits(s, &s.Group.V4, value, minRangeV4, 31)
	},
	"RANGE_IPV6": func(s *Scenario, value string) error {
		return setBits(s, &s.Group.V6, value, minRangeV6, 64)
	},
	"SHIELD": func(s *Scenario, value string) error {
		if s.shield.text == "" {
			return errors.New("nothing shields anybody from this scenario")
		}
		if err := setDuration(&s.Shield, "shield", value, time.Minute, MaxShield); err != nil {
			return err
		}
		if s.Shield%time.Minute != 0 {
			return fmt.Errorf("shield %v: allowed are whole minutes", s.Shield)
		}
		return nil
	},
	"SPACING": func(s *Scenario, value string) error {
		if s.Kind == Trigger {
			return errors.New("a trigger does not count")
		}
		return setDuration(&s.Spacing, "spacing", value, 0, MaxSpacing)
	},
	"SAMPLE": func(s *Scenario, value string) error {
		if s.Sample < 2 {
			return errors.New("the scenario counts every record")
		}
		return setNumber(&s.Sample, "sample", value, 1, MaxSample)
	},
	"SEVERITY": func(s *Scenario, value string) error {
		i := slices.Index(severityNames[:], value)
		if i < 0 {
			return fmt.Errorf("no such severity: allowed are %s", strings.Join(severityNames[:], ", "))
		}
		s.Severity = Severity(i)
		return nil
	},
	"BAN": func(s *Scenario, value string) error {
		return setDuration(&s.Ban, "ban", value, MinBan, MaxBan)
	},
	"ACTION": func(s *Scenario, value string) error {
		s.Action = value
		return checkAction(value)
	},
	"MODE": func(s *Scenario, value string) error {
		mode := slices.Index(modeNames[:], value)
		if mode < 0 {
			return fmt.Errorf("no such mode: allowed are %s", strings.Join(modeNames[:], ", "))
		}
		s.Mode = Mode(mode)
		return nil
	},
}

// Keys returns the last words of the variables that tune a scenario, sorted.
func Keys() []string { return slices.Sorted(maps.Keys(keys)) }

// Variable returns the name of the variable that sets a key of a scenario:
// http-probing and CAPACITY give WEIR_SCENARIO_HTTP_PROBING_CAPACITY. Whatever is
// neither letter nor digit becomes '_', so also the '/' of a name like
// author/http-probing.
func Variable(name, key string) string {
	return variablePrefix + variableName(name) + "_" + key
}

func variableName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, name)
}

// Tune returns the list with numbers changed as variables say. env maps the names
// of variables to their values; names that do not begin with WEIR_SCENARIO_ are
// none of its business. The list itself is left alone.
//
// CAPACITY is a number from 1 to 100000, of leaky scenarios only, and LEAKSPEED a
// duration from 1ms to 24h; BLACKHOLE is a duration from 0s to 168h, BAN one from 1s to
// 8760h; ACTION is block, captcha, challenge or count; MODE is enforce, stage,
// simulate or off; SPACING is a duration up to 1h; SEVERITY is low, medium, high or critical; CACHE_SIZE is a number of requests.
// SAMPLE (1 to 64), DRAIN (1 to 1000 events), SHIELD (whole minutes up to 24h), RANGE_IPV4 (16 to 31
// bits) and RANGE_IPV6 (32 to 64 bits) are of scenarios that have such a thing. The error holds everything that is wrong with any variable.
func Tune(list []Scenario, env map[string]string) ([]Scenario, error) {
	tuned := slices.Clone(list)
	var errs []error
	for _, variable := range slices.Sorted(maps.Keys(env)) {
		rest, ok := strings.CutPrefix(variable, variablePrefix)
		if !ok {
			continue
		}
		if err := tune(tuned, rest, env[variable]); err != nil {
			errs = append(errs, fmt.Errorf("%s=%q: %w", variable, env[variable], err))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return tuned, nil
}

// tune sets what a variable, without its prefix, names.
func tune(list []Scenario, variable, value string) error {
	name, key := cutKey(variable)
	set, ok := keys[key]
	if !ok {
		return fmt.Errorf("unknown key %q: the nearest is %s", key, nearest(key, Keys()))
	}
	var found []*Scenario
	names := make([]string, len(list))
	for i := range list {
		names[i] = variableName(list[i].Name)
		if names[i] == name {
			found = append(found, &list[i])
		}
	}
	switch len(found) {
	case 0:
		return fmt.Errorf("unknown scenario %q: the nearest is %s", name, nearest(name, names))
	case 1:
		return set(found[0], value)
	}
	return fmt.Errorf("it is the name of two scenarios, %q and %q", found[0].Name, found[1].Name)
}

// cutKey parts the name of a scenario from the key, which is the longest that the
// variable ends in; if it ends in none, whatever follows the last '_'.
func cutKey(variable string) (name, key string) {
	for _, k := range Keys() {
		if before, ok := strings.CutSuffix(variable, "_"+k); ok && len(k) > len(key) {
			name, key = before, k
		}
	}
	if key == "" {
		i := strings.LastIndexByte(variable, '_')
		return variable[:max(i, 0)], variable[i+1:]
	}
	return name, key
}

func setNumber(n *int, what, value string, least, most int) error {
	parsed, err := strconv.Atoi(value)
	if err != nil || parsed < least || parsed > most {
		return fmt.Errorf("%s %s: allowed are %d to %d", what, value, least, most)
	}
	*n = parsed
	return nil
}

func setBits(s *Scenario, bits *uint8, value string, least, most int) error {
	if *bits == 0 {
		return errors.New("the scenario has no such range")
	}
	var n int
	if err := setNumber(&n, "bits", value, least, most); err != nil {
		return err
	}
	*bits = uint8(n)
	return nil
}

func setDuration(d *time.Duration, what, value string, least, most time.Duration) error {
	parsed, err := time.ParseDuration(value)
	if err != nil {
		return fmt.Errorf("not a duration such as 10s: allowed are %v to %v", least, most)
	}
	*d = parsed
	return checkDuration(what, parsed, least, most)
}

// nearest returns the name that takes the fewest changes of a letter to reach.
func nearest(name string, names []string) string {
	if len(names) == 0 {
		return "none, as there are no scenarios"
	}
	return slices.MinFunc(names, func(a, b string) int { return distance(name, a) - distance(name, b) })
}

// distance is the number of letters to insert, delete or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
