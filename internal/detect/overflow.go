package detect

import (
	"net/netip"
	"slices"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
)

// overflow ends a bucket that ran over, and raises its alert unless it has only
// just done so, is shielded, or its scenario thinks better of it. A bucket with
// members stays full.
func (s *shard) overflow(e *event, r *cloudfront.Record, b *bucket, l *limits) {
	s.fate = Acquitted
	shielded := s.shielded(e, b, l)
	switch {
	case shielded:
		s.fate = Protected
	case l.group.Members:
		if l.queue == 0 || l.kind == scenario.Conditional || s.judged(b, l) {
			s.raiseMembers(e, r, b, l)
			return
		}
	case b.hushed(l, e.at):
		s.fate = Silenced
	case l.queue == 0 || l.kind == scenario.Conditional || s.judged(b, l):
		b.alerted = e.at
		about := clientOf(r)
		if l.group.By == scenario.ByRange {
			about, _ = networkOf(about, &l.group)
		}
		s.raise(e, r, b, about, r.Addr, s.samples.chain(b.sample, b.ident, l.samples))
	}
	if !l.group.Members || !shielded {
		b.die()
	}
}

// judged asks the scenario whether what is in the bucket is what it looks for.
func (s *shard) judged(b *bucket, l *limits) bool {
	return s.plan.judge(int(b.ident.scenario()), s.samples.chain(b.sample, b.ident, l.queue))
}

func (s *shard) raise(e *event, r *cloudfront.Record, b *bucket, client netip.Prefix, addr netip.Addr, samples []Sample) {
	s.fate = Alerted
	i := b.ident.scenario()
	s.tally.alerts[i]++
	s.alert(Alert{
		Scenario: s.plan.scenarios[i],
		Client:   client,
		Addr:     addr,
		At:       e.at,
		First:    b.first,
		Events:   int(b.count),
		Arrived:  r.Arrived,
		Samples:  samples,
	})
	s.raised.Add(1)
}

// raiseMembers raises the alert of a client whose event a full bucket would have to
// take. When the bucket has not been alerted about for the time of a blackhole, those
// whose events filled it get one, too, as far as there are samples of them.
func (s *shard) raiseMembers(e *event, r *cloudfront.Record, b *bucket, l *limits) {
	s.fate = Silenced
	client, earlier := clientOf(r), !b.hushed(l, e.at)
	own := !s.toldMember(e, l, client)
	if !own && !earlier {
		return
	}
	samples := s.samples.chain(b.sample, b.ident, l.samples)
	if own {
		s.raise(e, r, b, client, r.Addr, samples)
	}
	if !earlier {
		return
	}
	b.alerted = e.at
	for i := range samples {
		other := samples[i].client()
		if other == client || slices.ContainsFunc(samples[:i], func(s Sample) bool { return s.client() == other }) {
			continue
		}
		if s.banned != nil && s.banned(other, e.at) || s.toldMember(e, l, other) {
			continue
		}
		s.raise(e, r, b, other, samples[i].Addr, slices.Clone(samples))
	}
}

// toldMember reports whether a client got an alert of the event's bucket within the
// blackhole, and remembers that it gets one now if it did not.
func (s *shard) toldMember(e *event, l *limits, client netip.Prefix) bool {
	h := &s.plan.hasher
	return s.members.notify(newNotice(e.hash, h.hash(h.key(client)), e.at), l.quiet)
}
