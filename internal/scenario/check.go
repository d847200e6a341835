package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What a scenario's numbers may be. A full bucket, Capacity x Leak, stays within
// what an int64 of nanoseconds holds.
const (
	MinCapacity, MaxCapacity   = 1, 100_000
	MinLeak, MaxLeak           = time.Millisecond, 24 * time.Hour
	MinBlackhole, MaxBlackhole = time.Duration(0), 7 * 24 * time.Hour
	MinBan, MaxBan             = time.Second, 365 * 24 * time.Hour
	MaxShield                  = 24 * time.Hour
	MaxSpacing                 = time.Hour
	MaxCacheSize               = 256  // requests
	MaxSample                  = 64   // records
	maxDrain                   = 1000 // events

	// No network that is shorter than this many bits is ever banned by itself.
	minRangeV4, minRangeV6 = 16, 32
)

// Actions returns what a decision may do, apart from "", the service's default.
func Actions() []string { return []string{"block", "captcha", "challenge", "count"} }

func (s *Scenario) check() error {
	var errs []error
	if s.Name == "" {
		errs = append(errs, errors.New("it has no name"))
	}
	if int(s.Mode) >= len(modeNames) {
		errs = append(errs, fmt.Errorf("mode %v: there is no such mode", s.Mode))
	}
	switch s.Kind {
	case Leaky:
		errs = append(errs, checkCapacity(s.Capacity), checkDuration("leakspeed", s.Leak, MinLeak, MaxLeak))
	case Trigger:
		if s.Capacity != 0 || s.Leak != 0 {
			errs = append(errs, errors.New("a trigger has neither capacity nor leakspeed"))
		}
	case Conditional:
		if s.Capacity != -1 {
			errs = append(errs, fmt.Errorf("capacity %d: a conditional scenario has -1, as its condition decides", s.Capacity))
		}
		errs = append(errs, checkDuration("leakspeed", s.Leak, MinLeak, MaxLeak))
	default:
		errs = append(errs, fmt.Errorf("kind %v: there is no such kind", s.Kind))
	}
	errs = append(errs, checkDuration("blackhole", s.Blackhole, MinBlackhole, MaxBlackhole))
	errs = append(errs, checkDuration("spacing", s.Spacing, 0, MaxSpacing))
	if s.Ban != 0 {
		errs = append(errs, checkDuration("ban", s.Ban, MinBan, MaxBan))
	}
	if s.Action != "" {
		errs = append(errs, checkAction(s.Action))
	}
	return errors.Join(errs...)
}

func checkCapacity(n int) error {
	if n < MinCapacity || n > MaxCapacity {
		return fmt.Errorf("capacity %d: allowed are %d to %d", n, MinCapacity, MaxCapacity)
	}
	return nil
}

func checkDuration(what string, d, least, most time.Duration) error {
	if d < least || d > most {
		return fmt.Errorf("%s %v: allowed are %v to %v", what, d, least, most)
	}
	return nil
}

func checkAction(action string) error {
	if !slices.Contains(Actions(), action) {
		return fmt.Errorf("action %q: allowed are %s", action, strings.Join(Actions(), ", "))
	}
	return nil
}
