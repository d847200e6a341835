package scenario

import (
	"bytes"
	"strconv"
	"unsafe"

	"weir/internal/cloudfront"
	"weir/internal/payload"
	"weir/internal/prefetch"
)

// How many verdicts a Matcher keeps of each kind: powers of two.
const (
	pathVerdicts  = 8192
	queryVerdicts = 1024
)

// A verdict is kept under the hash of its column: a seeded 64-bit hash stands for
// the column. It takes the place of another verdict whose hash ends alike.
type (
	pathVerdict struct { // 64 bytes, a cache line
		hash  uint64
		facts uint64 // of the request

		place uint64 // of the host and path that learn took note of last, and
		hour  uint32 // when

		// Fingerprints that few records need; 0 until shapes was called.
		shape  uint32 // of the path without what numbers its things
		parent uint32 // of the shape above the last segment, or of all of it near the root
		top    uint32 // of the first segment
		_      [3]uint64
	}
	queryVerdict struct {
		hash  uint64
		facts uint64 // of the request
	}
)

// find finds out everything about a record that filters may ask for.
func (m *Matcher) find(r *cloudfront.Record) {
	path, query := r.Target()
	host := r.Raw(cloudfront.FieldCSHost)
	hash := m.set.hasher.Bytes(path)
	m.path = &m.paths[hash%pathVerdicts]
	prefetch.Line(unsafe.Pointer(m.path))
	answer := m.set.answer(r)
	f := m.client(r, host) | method(r)
	if m.path.hash != hash {
		m.set.site.fetch(placeOf(hash, m.set.hasher.Bytes(host)))
		*m.path = pathVerdict{hash: hash, facts: m.readPath(path)}
	}
	f |= m.path.facts
	if len(query) > 0 {
		f |= m.readQuery(query)
	}
	if f&pathXMLRPC != 0 {
		f |= jetpack(r, path, query)
	}
	if f&isLibrary != 0 && string(query) == "go-get=1" {
		f |= isPackager
	}
	if f&pathBackup != 0 && answer&(wasRefused|wasHTML) == 0 {
		f &^= pathBackup // sites do offer archives
	}
	if f&payloads != 0 {
		f |= isPayload
	}
	if f&hostile != 0 {
		f |= isHostile
	}
	if f&(hasReferer|isFamiliar) == isFamiliar && (f&(isPost|isHostile) != 0 || answer&wasRefused != 0) {
		f |= fetchSite(r.Raw(cloudfront.FieldCSHeaders))
	}
	m.facts[0], m.facts[1] = f, m.conclude(r, f, answer)
}

// hostile is what only attackers ask for or send.
const (
	hostile  = payloads | pathSecret | pathBackup | pathShell | pathExploit | hasHeaderAttack
	payloads = hasSQL | hasScript | hasTraversal | hasCommand | hasTemplate | hasLookup | hasSplit | hasSSRF
)

// conclude adds to what the answer says what follows from it and the request, and
// from what is known of the site.
func (m *Matcher) conclude(r *cloudfront.Record, request, f uint64) uint64 {
	if f&wasServed == 0 {
		return f
	}
	if f&wasPartial != 0 || request&pathStatic != 0 && f&wasFetched == 0 {
		f |= wasCheap
	}
	if in := signIn(request, f, r.Status); in != 0 {
		f |= in
		if m.set.site.signIn(m.place(r), r.Time, in == wasLoginOK) {
			f |= wasLoginWorking
		}
	}
	switch {
	case f&wasRefused != 0:
		if m.set.site.knows(m.place(r), r.Time) {
			f |= wasKnown
		}
	case f&wasOK != 0 && request&(pathStatic|isHostile) == 0 && f&wasSoftMissing == 0:
		f |= m.learn(r, f)
	}
	if f&(wasOK|wasPartial) != 0 && f&(wasSoftMissing|wasLoginFailed) == 0 &&
		request&(pathStatic|pathLogin|pathToken|pathWPLogin|pathXMLRPC|isHostile|isTool|isLibrary|isContradiction|isImpostor|isNameless|isCrawler) == 0 {
		f |= wasHealthy
	}
	if f&wasFetched != 0 && slow(r) {
		f |= wasHeavy
	}
	const megabyte = len("1000000")
	if len(r.Raw(cloudfront.FieldSCBytes)) >= megabyte {
		f |= wasLarge
	}
	return f
}

// learn takes note of a path that is there, and returns what is known of it.
func (m *Matcher) learn(r *cloudfront.Record, f uint64) uint64 {
	place, hour := m.place(r), uint32(r.Time/msPerHour)
	if m.path.place == place && m.path.hour == hour {
		return wasKnown
	}
	if m.set.site.renew(place, r.Time) {
		m.path.place, m.path.hour = place, hour
		return wasKnown
	}
	if f&(wasOK|wasHTML) == wasOK|wasHTML {
		if length := r.Raw(cloudfront.FieldSCContentLen); len(length) > 0 {
			n, err := strconv.ParseUint(string(length), 10, 48)
			// A firewall's block that got the page of an error is none of the site's answers.
			isOwn := r.Status == 200 && string(r.Raw(cloudfront.FieldXEdgeResultType)) != "Error"
			if err == nil && isOwn && m.set.site.isStandIn(m.set.hasher.Bytes(r.Raw(cloudfront.FieldCSHost)), n) {
				return wasSoftMissing
			}
		}
	}
	m.set.site.learn(place, r.Time)
	m.path.place, m.path.hour = place, hour
	return 0
}

// place is the hash of a record's host and path.
func (m *Matcher) place(r *cloudfront.Record) uint64 {
	return placeOf(m.path.hash, m.set.hasher.Bytes(r.Raw(cloudfront.FieldCSHost)))
}

func placeOf(path, host uint64) uint64 { return mix(path, host) }

// slow reports whether an answer took more than a second.
func slow(r *cloudfront.Record) bool {
	raw := r.Raw(cloudfront.FieldTimeTaken)
	return len(raw) > 1 && !(raw[0] == '0' && raw[1] == '.')
}

// weigh returns how much a record counts for, in thousandths.
func weigh(r *cloudfront.Record, by weight) uint32 {
	switch by {
	case weightBytes:
		bytes := number(r.Raw(cloudfront.FieldSCBytes))
		return uint32(min(bytes/1000, 1<<31))
	case weightOrigin:
		return uint32(min(thousandths(r.Raw(cloudfront.FieldTimeTaken)), 1<<31))
	}
	return WholeEvent
}

// number reads decimal digits, as many as there are.
func number(raw []byte) uint64 {
	var n uint64
	for _, c := range raw {
		if c < '0' || c > '9' || n > 1<<53 {
			break
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

// thousandths reads a decimal number with up to three digits behind the point.
func thousandths(raw []byte) uint64 {
	n := number(raw) * 1000
	for i, c := range raw {
		if c == '.' {
			unit := uint64(100)
			for _, c := range raw[i+1 : min(len(raw), i+4)] {
				n += uint64(c-'0') * unit
				unit /= 10
			}
			break
		}
	}
	return n
}

// readPath returns what a path says that was not met before. Many are, so a usual one is
// read once, as it is logged.
func (m *Matcher) readPath(raw []byte) uint64 {
	if len(raw) <= pathWhole {
		if f, made := m.set.paths.FindOf(raw, &payload.PathBytes); made&payload.Odd == 0 {
			if f&pathStatic != 0 && runsProgram(raw) {
				f &^= pathStatic | pathMedia
			}
			return f | findings(m.scanner.PathOf(raw, made))
		}
	}
	m.decoded, _ = appendEnds(m.decoded[:0], raw)
	return m.set.paths.Find(m.decoded)&^(pathStatic|pathMedia) | static(m.decoded) | findings(m.scanner.Path(raw))
}

// What a path names stands in its first segments and in its last. Of one of more than
// pathWhole bytes, as logged, what lies between these is read for attacks alone.
const (
	pathWhole = 512
	pathHead  = 192
	pathTail  = 96
)

// appendEnds appends a path, decoded, or the ends of a long one with a '-' between
// them, and returns where that is: -1 if nothing was left out.
func appendEnds(dst, raw []byte) (ends []byte, cut int) {
	if len(raw) <= pathWhole {
		return cloudfront.Decode(dst, raw, false), -1
	}
	dst = cloudfront.Decode(dst, raw[:pathHead], false)
	cut = len(dst)
	return cloudfront.Decode(append(dst, '-'), raw[len(raw)-pathTail:], false), cut
}

// hidesNames reports whether what was left out of a path between its ends tells it from
// others: it does unless it is the middle of one number, hash or token.
func hidesNames(raw, ends []byte, cut int) bool {
	if cut < 0 {
		return false
	}
	if bytes.IndexByte(raw[pathHead:len(raw)-pathTail], '/') >= 0 {
		return true
	}
	from, to := bytes.LastIndexByte(ends[:cut], '/')+1, len(ends)
	if i := bytes.IndexByte(ends[cut:], '/'); i >= 0 {
		to = cut + i
	}
	return !isNumbering(ends[from:to])
}

// readQuery returns what a query says.
func (m *Matcher) readQuery(raw []byte) uint64 {
	if len(raw) < shortQuery {
		return findings(m.scanner.Query(raw)) | cacheBuster(raw) | authorQuery(raw)
	}
	if len(raw) > longQuery {
		return findings(m.scanner.Query(raw)) | cacheBuster(raw)
	}
	hash := m.set.hasher.Bytes(raw)
	v := &m.queries[hash%queryVerdicts]
	if v.hash != hash {
		*v = queryVerdict{hash, findings(m.scanner.Query(raw)) | cacheBuster(raw) | authorQuery(raw)}
	}
	return v.facts
}

// Below shortQuery and above longQuery, in bytes, reading a query costs no more than
// looking up what it says: of a long one little is read, and all of it would be hashed.
const (
	shortQuery = 24
	longQuery  = 2048
)

// findings translates what a payload holds.
func findings(f payload.Finding) uint64 {
	if f == 0 {
		return 0
	}
	var facts uint64
	for _, t := range translation {
		if f&t.finding != 0 {
			facts |= t.fact
		}
	}
	return facts
}

// shapes completes a path's verdict.
func (m *Matcher) shapes(v *pathVerdict, raw []byte) {
	if v.shape != 0 {
		return
	}
	var cut, parent int
	m.decoded, cut = appendEnds(m.decoded[:0], raw)
	if v.facts&pathStatic != 0 {
		m.shape = appendPart(m.shape[:0], m.decoded)
		parent = len(m.shape)
	} else {
		m.shape, parent = appendShape(m.shape[:0], m.decoded)
	}
	shape, above := m.set.hasher.Bytes(m.shape), m.set.hasher.Bytes(m.shape[:parent])
	if hidesNames(raw, m.decoded, cut) {
		shape, above = mix(shape, v.hash), mix(above, v.hash)
	}
	v.shape, v.parent = short(shape), short(above)
	v.top = short(m.set.hasher.Bytes(top(m.shape)))
}

// short cuts a hash to 32 bits, never 0.
func short(hash uint64) uint32 { return max(1, uint32(hash>>32)) }

// mix makes one hash of two.
func mix(a, b uint64) uint64 {
	h := (a ^ b>>29) * 0x9e3779b97f4a7c15
	return (h ^ h>>32 ^ b) * 0xd6e8feb86659fd93
}
