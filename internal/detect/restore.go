package detect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"weir/internal/scenario"
)

// ErrNotRestored is in every error of Restore about what it read.
var ErrNotRestored = errors.New("detect: this is no snapshot that can be restored")

// Restored says what Restore has put into the Engine, and what it has not.
type Restored struct {
	Buckets  int // with all that is remembered of alerts and shields
	Samples  int
	Values   int // distinct ones
	Requests int
	Notices  int // alerts of members

	Dropped int // buckets of scenarios that are gone or have changed
	Left    int // buckets that keep did not hold of
	Older   int // buckets that the Engine had already, as of later
	Evicted int // buckets that gave way, as there was no room
	Untold  int // alerts that are not remembered, see RestoreUntold
}

// Restore puts what a snapshot holds into the Engine, beside what is there, and returns
// what that was. No Process may run meanwhile. Scenarios may have other numbers than they
// had; what is of one whose name or definition is not among them is dropped. keep is asked
// with the Partition of each key, and what it does not hold of is left out; nil keeps all.
//
// What r holds may be anything: an error comes of what is not a snapshot, or not all of
// one. Then what came before it is in the Engine, which should be closed. The Engine takes
// no more memory than it has; beside that Restore takes 8 bytes for each bucket that it
// has read of a part. It reads no further than the end of the snapshot.
func (e *Engine) Restore(r io.Reader, keep func(partition uint64) bool) (Restored, error) {
	return e.restore(r, keep, false)
}

// RestoreUntold is Restore without what is remembered of alerts, for where what was decided
// on these is not known: it would keep quiet about who went free, for the time of a
// blackhole. What was counted remains, so an alert comes again when a bucket runs over again.
func (e *Engine) RestoreUntold(r io.Reader, keep func(partition uint64) bool) (Restored, error) {
	return e.restore(r, keep, true)
}

func (e *Engine) restore(r io.Reader, keep func(partition uint64) bool, untold bool) (Restored, error) {
	if keep == nil {
		keep = func(uint64) bool { return true }
	}
	d := &decoder{engine: e, keep: keep, untold: untold, byName: make(map[string]int, len(e.plan.scenarios)), sameIndexes: true}
	for i, s := range e.plan.scenarios {
		d.byName[s.Name] = i
	}
	evicted := uint64(0)
	for _, s := range e.shards {
		s.mu.Lock()
		defer s.mu.Unlock()
		evicted -= s.buckets.evicted
	}
	err := d.read(r)
	for _, s := range e.shards {
		evicted += s.buckets.evicted
		s.tally.flush(s)
	}
	d.done.Evicted = int(evicted)
	if err != nil {
		return d.done, fmt.Errorf("%w: %w", ErrNotRestored, err)
	}
	return d.done, nil
}

func (d *decoder) scenario() error {
	b := d.bytes(16)
	if b == nil {
		return errForm
	}
	definition := [16]byte(b)
	shields, err := d.number(1<<16 - 1)
	if err != nil {
		return err
	}
	n, err := d.number(uint64(len(d.left)))
	if err != nil {
		return err
	}
	if len(d.scenarios) >= 1<<16 {
		return errRange
	}
	o := origin{-1, int(shields)}
	i, is := d.byName[string(d.bytes(int(n)))]
	if is && d.engine.plan.scenarios[i].Definition() == definition {
		o.index = i
	}
	d.sameIndexes = d.sameIndexes && is && i == len(d.scenarios)
	d.scenarios = append(d.scenarios, o)
	return nil
}

func (d *decoder) marks() error {
	i, err := d.number(1 << markBits)
	b := d.bytes(32)
	if err != nil || b == nil {
		return errForm
	}
	var w [4]uint64
	for n := range w {
		w[n] = binary.LittleEndian.Uint64(b[8*n:])
	}
	m := &d.engine.marks
	if i == 1<<markBits {
		m.count(int64(min(w[0], markedKeys)))
		return nil
	}
	scenarios := [2]uint64{w[1], w[3]}
	if !d.sameIndexes {
		scenarios = [2]uint64{} // they are of others: those of buckets that are restored are marked with these
	}
	m.restore(int(i), [2]uint64{w[0], w[2]}, scenarios)
	return nil
}

// shardOf returns the shard of keys with a hash, nil if they are not to be kept.
func (d *decoder) shardOf(hash uint64) *shard {
	if !d.keep(Partition(hash)) {
		return nil
	}
	return d.engine.shards[shardOf(hash, len(d.engine.shards))]
}

// shieldsOf returns the scenario that the Engine remembers shields for which one of the
// snapshot had.
func (d *decoder) shieldsOf(scenario int) (index int, ok bool) {
	for _, o := range d.scenarios {
		if o.shields == scenario && o.index >= 0 {
			return int(d.engine.plan.shields[o.index]), true
		}
	}
	return -1, false
}

func (d *decoder) bucket() error {
	e := d.engine
	what := d.bytes(1)[0]
	if len(d.scenarios) == 0 {
		return errEarly
	}
	number, err := d.number(uint64(len(d.scenarios)) - 1)
	if err != nil {
		return err
	}
	if what >= bucketGroup<<1 {
		return errForm
	}
	k, group := key{family: what & 3}, uint32(0)
	if err := d.key(&k, &group, what&bucketGroup != 0); err != nil {
		return err
	}
	var b bucket
	if err := d.level(&b, what); err != nil {
		return err
	}
	isEmpty := false
	if d.untold && b.alerted != 0 {
		d.done.Untold++
		b.alerted = 0
		isEmpty = b.count == 0 && b.shield == 0
	}
	index := d.scenarios[number].index
	if what&bucketShields != 0 {
		index, _ = d.shieldsOf(int(number))
	}
	d.buckets = append(d.buckets, 0)
	if index < 0 {
		d.done.Dropped++
		return nil
	}
	if k.family == familyValue {
		k.addr, k.group = e.plan.values[index], group
	}
	b.ident = k.ident(uint16(index), group)
	if what&bucketShields != 0 {
		b.ident = k.shieldIdent(uint16(index), group)
	}
	l := &e.limits[index]
	if b.level > l.full || (k.family == familyValue) != (l.group.By == scenario.ByValue) || b.ident.isShield() && b.count > 0 {
		return errRange
	}
	if isEmpty {
		return nil
	}
	d.buckets[len(d.buckets)-1] = d.place(&b, k, l)
	return nil
}

func (d *decoder) key(k *key, group *uint32, hasGroup bool) error {
	switch k.family {
	case familyIPv4:
		b := d.bytes(1 + 4)
		if b == nil || b[0] > 32 {
			return errForm
		}
		k.bits, k.addr = b[0], uint64(binary.LittleEndian.Uint32(b[1:]))
	case familyIPv6:
		b := d.bytes(1 + 8)
		if b == nil || b[0] > 128 {
			return errForm
		}
		k.bits, k.addr = b[0], binary.LittleEndian.Uint64(b[1:])
	case familyValue:
	default:
		return errForm
	}
	if hasGroup {
		var ok bool
		if *group, ok = d.half(); !ok || *group == 0 {
			return errForm
		}
	}
	return nil
}

// level reads what is in a bucket, and what it remembers.
func (d *decoder) level(b *bucket, what byte) error {
	if what&bucketCounts != 0 {
		level, err := d.number(1<<63 - 1)
		if err != nil {
			return err
		}
		if err := d.time(&b.last); err != nil {
			return err
		}
		earlier, err := d.number(uint64(b.last))
		if err != nil {
			return err
		}
		count, err := d.number(1<<32 - 1)
		if err != nil {
			return err
		}
		b.level, b.first, b.count = int64(level), b.last-int64(earlier), uint32(count)
	}
	if what&bucketAlerted != 0 {
		if err := d.time(&b.alerted); err != nil {
			return err
		}
	}
	if what&bucketProtects != 0 {
		var ok bool
		if b.shield, ok = d.half(); !ok || int64(b.shield)*minute > noticeTime {
			return errForm
		}
	}
	return nil
}

// place puts a bucket of a key into the table.
func (d *decoder) place(b *bucket, k key, l *limits) restored {
	hash := d.engine.plan.hasher.hash(k)
	s := d.shardOf(hash)
	if s == nil {
		d.done.Left++
		return 0
	}
	t, id := s.buckets, b.ident
	spot := s.locate(&event{key: k, hash: hash}, id)
	p, is := t.find(id, spot)
	if !is {
		p, _ = t.claim(id, spot, d.clock)
	}
	to := t.edit(p)
	to.alerted, to.shield = max(to.alerted, b.alerted), max(to.shield, b.shield)
	newer := b.count != 0 && (to.count == 0 || to.last < b.last)
	if newer {
		to.level, to.last, to.first, to.count = b.level, b.last, b.first, b.count
		to.sample, to.born = 0, t.birth()
		if i := id.scenario(); d.engine.plan.drains[i] {
			d.engine.marks.addRestored(hash, i)
		}
	}
	dry, until := to.expiry(l)
	t.keep(p, dry, until)
	if b.count != 0 && !newer {
		d.done.Older++
		return 0
	}
	d.done.Buckets++
	if b.count == 0 {
		return 0
	}
	shard := shardOf(hash, len(d.engine.shards))
	return restored(to.born)<<(placeBits+shardBits) | restored(shard)<<placeBits | restored(p.set*ways+p.way)
}

// bucketOf takes the number of a bucket, and returns it and its shard. They are nil if it
// is not there.
func (d *decoder) bucketOf() (*shard, *bucket, error) {
	if len(d.buckets) == 0 {
		return nil, nil, errEarly
	}
	n, err := d.number(uint64(len(d.buckets)) - 1)
	if err != nil || d.buckets[n] == 0 {
		return nil, nil, err
	}
	at := d.buckets[n]
	s := d.engine.shards[uint8(at>>placeBits)]
	i := int(uint32(at))
	p := place{i / ways, i % ways}
	if b := s.buckets.bucket(p); b.born == uint32(at>>(placeBits+shardBits)) && b.count != 0 {
		return s, s.buckets.edit(p), nil
	}
	return nil, nil, nil // it gave way
}

func (d *decoder) sample() error {
	s, b, err := d.bucketOf()
	if err != nil {
		return err
	}
	status, err := d.number(999)
	if err != nil {
		return err
	}
	var at int64
	client := d.bytes(1)
	if client == nil {
		return errForm
	}
	if err := d.time(&at); err != nil {
		return err
	}
	address := d.bytes(16)
	if address == nil {
		return errForm
	}
	if a := netip.AddrFrom16([16]byte(address)).Unmap(); int(client[0]) > a.BitLen() {
		return errRange
	}
	n, err := d.number(maxSample - sampleHead)
	if err != nil {
		return err
	}
	columns := d.bytes(int(n))
	if columns == nil || !isColumns(columns) {
		return errForm
	}
	if b == nil {
		return nil
	}
	position, to := s.samples.room()
	h := sampleHeadOf{ident: b.ident, before: b.sample, status: uint16(status), bits: client[0], time: at, addr: [16]byte(address)}
	h.put(to)
	s.samples.fill(sampleHead + copy(to[sampleHead:], columns))
	b.sample = position
	d.done.Samples++
	return nil
}

// isColumns reports whether this is what putColumns writes.
func isColumns(b []byte) bool {
	column, length := 0, 0
	for _, c := range b {
		if c != '\t' {
			length++
			continue
		}
		if column == sampleColumns || length > sampleWidths[column] {
			return false
		}
		column, length = column+1, 0
	}
	return column == sampleColumns && length == 0
}

func (d *decoder) value() error {
	s, b, err := d.bucketOf()
	if err != nil {
		return err
	}
	fingerprint, ok := d.half()
	if !ok || fingerprint == 0 {
		return errForm
	}
	if b == nil {
		return nil
	}
	l, now := &s.limits[b.ident.scenario()], ticks(b.last)
	value := distinctValue(fingerprint, b.born, min(ticks(b.last+l.life), now+untilReach))
	_, out := s.values.add(distinctHash(d.engine.plan.hasher.hash(b.ident.key()), b.ident, fingerprint), value, distinctMask)
	if wanted(out, now) {
		s.tally.forgotten++
	}
	d.done.Values++
	return nil
}

func (d *decoder) request() error {
	hash, ok := d.word()
	if !ok || hash == 0 {
		return errForm
	}
	if s := d.shardOf(hash); s != nil {
		s.requests.add(hash, hash, ^uint64(0))
		d.done.Requests++
	}
	return nil
}

func (d *decoder) notice() error {
	who, ok := d.word()
	when, is := d.word()
	if !ok || !is || when>>42 == 0 {
		return errForm
	}
	if d.untold {
		d.done.Untold++
		return nil
	}
	if s := d.shardOf(who); s != nil && len(s.members.sets) > 0 {
		s.members.notify(notice{who, when}, 0)
		d.done.Notices++
	}
	return nil
}
