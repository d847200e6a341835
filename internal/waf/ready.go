package waf

import (
	"errors"
	"fmt"
	"time"
)

// trouble is a run of failures.
type trouble struct {
	since  time.Time // of the first; zero = none since the last success
	err    error     // the latest
	count  int
	denied int // the latest of them that were refusals of our credentials or rights
}

func (t *trouble) note(now time.Time, how outcome, err error) {
	if t.count == 0 {
		t.since = now
	}
	t.err = err
	t.count++
	if t.denied++; how != denied {
		t.denied = 0
	}
}

// why says why the sets are not what they should be; nil: they are, or writes that
// make them so are on their way.
func (p *plan) why(now time.Time) error {
	const patience = time.Minute
	switch {
	case p.deposed != nil:
		return p.deposed
	case p.reading.denied > 0:
		return p.reading.err
	case p.writing.denied > 0:
		return p.writing.err
	case !p.adopted:
		return p.whyNotAdopted()
	case p.orphanErr != nil:
		return fmt.Errorf("keep the bans that the IP sets held: %w", p.orphanErr)
	}
	for _, s := range p.sets {
		switch {
		case s.missing:
			return fmt.Errorf("IP set %s does not exist", s.arn)
		case s.failures > 10: // others can be read
			return s.err
		}
	}
	for f := range p.pools {
		if pl := &p.pools[f]; pl.wanted > 0 && len(pl.sets) == 0 {
			return fmt.Errorf("%d %s entries are wanted and no IP set is for %[2]s", pl.wanted, pl.key)
		}
	}
	for _, t := range []*trouble{&p.reading, &p.writing} {
		if t.count == 0 || now.Sub(t.since) < patience || t == &p.writing && !p.waiting() {
			continue
		}
		return fmt.Errorf("AWS WAF has answered with errors since %s: %w", t.since.UTC().Format(time.RFC3339), t.err)
	}
	return nil
}

func (p *plan) whyNotAdopted() error {
	switch {
	case p.reading.err != nil:
		return fmt.Errorf("the IP sets have not been read yet: %w", p.reading.err)
	case p.listing.done && len(p.sets) == 0:
		return fmt.Errorf("no IP set has a name that starts with %s", p.selection.say())
	}
	for _, s := range p.sets {
		if s.missing {
			return fmt.Errorf("IP set %s does not exist", s.arn)
		}
	}
	return errors.New("the IP sets have not been read yet")
}

// waiting reports whether a ban or an unban waits for a write.
func (p *plan) waiting() bool {
	for f := range p.pools {
		pl := &p.pools[f]
		if len(pl.pending)+pl.count[bound] > 0 {
			return true
		}
		for _, s := range pl.sets {
			if s.count[lifted] > 0 {
				return true
			}
		}
	}
	return false
}
