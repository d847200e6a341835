package scenario

import (
	"weir/internal/cloudfront"
)

// fingerprint returns the fingerprint of what a key is made of: 0 when that is
// nothing. Values are taken as logged: CloudFront escapes a value in one way, so they
// differ exactly when their wire forms do.
//
// ok is false where an expression failed: such an event is in no bucket, as it would be
// in one with everybody else's.
func (m *Matcher) fingerprint(r *cloudfront.Record, k *key) (f uint32, ok bool) {
	if k.value > 0 {
		h, ok := m.filters.Value(k.value - 1)
		if h != 0 {
			return short(h), ok
		}
		return 0, ok
	}
	switch len(k.parts) {
	case 0:
		return 0, true
	case 1:
		return m.part(r, k.parts[0]), true
	}
	var h uint64
	for _, part := range k.parts {
		h = mix(h, uint64(m.part(r, part)))
	}
	return short(h), true
}

// part returns the fingerprint of one part of a key.
func (m *Matcher) part(r *cloudfront.Record, p part) uint32 {
	switch p {
	case partClient:
		a := r.Client().Addr().As16()
		return short(m.set.hasher.Bytes(a[:]))
	case partFingerprint:
		return short(m.agents.Fingerprint(m.who, r))
	case partHost:
		return short(m.set.hasher.Bytes(r.Raw(cloudfront.FieldCSHost)))
	case partPath:
		return short(m.path.hash)
	case partTop:
		m.shapes(m.path, r.Path())
		return m.path.top
	case partShape:
		m.shapes(m.path, r.Path())
		if m.facts[1]&wasJSON != 0 {
			return m.path.parent
		}
		return m.path.shape
	case partRequest:
		query := r.Query()
		if len(query) == 0 {
			return short(m.path.hash)
		}
		return short(mix(m.path.hash, m.set.hasher.Bytes(query)))
	case partSize:
		size := r.Raw(cloudfront.FieldCSBytes)
		if len(size) == 0 {
			return 1 // not logged: all are alike, so that nobody is held to send many
		}
		return short(m.set.hasher.Bytes(size))
	}
	return 0
}
