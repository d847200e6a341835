package detect

import "sync/atomic"

// marks remember of keys what tells that a hit changes nothing, so that it can be left out.
// A line is a cache line, and the key's hash selects it.
type marks struct {
	lines   [1 << markBits]markLine
	current atomic.Uint32 // generation of words that takes new marks
	made    atomic.Int64  // in the current generation
}

// A markLine holds marks of the keys to which something was poured that a drain or a
// cancel could take out again, and of the scenarios in whose buckets it went. Where there
// is no mark there is no such bucket, and a record that only drains costs next to nothing:
// nearly all that healthy visitors do is of that kind.
//
// A mark is two bits of one word. Marks lie in two generations: when so many keys were
// marked that half a generation would soon be full, the older one is cleared and takes the
// new ones. So what is said of a key is right for as long as fewer than markedKeys others
// failed since its own latest failure; beyond that, in a flood, a drain may be left out,
// and after it a client with few failures is judged by those alone.
//
// Beside them lie the latest shields that the keys sent, as shieldsOf has them. A second
// shield of a minute changes nothing, so one that is forgotten is only work.
type markLine struct {
	keys      [2]atomic.Uint64
	scenarios [2]atomic.Uint64 // of a key
	sent      [shieldsKept]atomic.Uint64
}

const (
	markBits = 14 // of the number of a line

	// markedKeys is how many keys a generation takes. Then about two bits of five are
	// set, and one key of six that has none seems to have a mark. The words of scenarios
	// may be fuller: of a key that has a mark, more is looked at than need be.
	markedKeys = 1 << 18

	// shieldsKept is how many shields a line remembers: what a cache line has room for.
	shieldsKept = 4
)

// line returns the line of the key with a hash.
func (m *marks) line(hash uint64) *markLine { return &m.lines[hash>>(64-markBits)] }

func markOf(hash uint64) uint64 { return 1<<(hash&63) | 1<<(hash>>6&63) }

// markIn is the mark of a scenario of the key with a hash.
func markIn(hash uint64, scenario uint16) uint64 {
	return markOf((hash>>12 ^ uint64(scenario)) * 0x9e3779b97f4a7c15 >> 32)
}

// add marks the key with a hash, and a scenario of it.
func (m *marks) add(hash uint64, scenario uint16) {
	now, line := m.current.Load(), m.line(hash)
	if mark, w := markIn(hash, scenario), &line.scenarios[now]; w.Load()&mark != mark {
		w.Or(mark)
	}
	mark, w := markOf(hash), &line.keys[now]
	if w.Load()&mark == mark || w.Or(mark)&mark == mark || m.made.Add(1) != markedKeys {
		return
	}
	for i := range m.lines {
		m.lines[i].keys[now^1].Store(0)
		m.lines[i].scenarios[now^1].Store(0)
	}
	m.current.Store(now ^ 1)
	m.made.Store(0)
}

// has reports whether the key with a hash, whose line it is, may be marked.
func (l *markLine) has(hash uint64) bool {
	mark := markOf(hash)
	return l.keys[0].Load()&mark == mark || l.keys[1].Load()&mark == mark
}

// hasIn reports whether a scenario of a key that may be marked may be, too.
func (l *markLine) hasIn(hash uint64, scenario uint16) bool {
	mark := markIn(hash, scenario)
	return l.scenarios[0].Load()&mark == mark || l.scenarios[1].Load()&mark == mark
}

// knows reports whether shields of a key of the line are known to be sent.
func (l *markLine) knows(shields uint64) bool { return l.slot(shields).Load() == shields }

// send remembers shields that were sent.
func (l *markLine) send(shields uint64) { l.slot(shields).Store(shields) }

func (l *markLine) slot(shields uint64) *atomic.Uint64 {
	return &l.sent[scale(uint32(shields>>32), shieldsKept)]
}

// A markedCut is what marks were at a cut: by line and generation, the older one first.
type markedCut struct {
	keys, scenarios [1 << markBits][2]uint64
	made            int64
}

func (m *marks) cut() *markedCut {
	now, c := m.current.Load(), &markedCut{made: m.made.Load()}
	for i := range m.lines {
		line := &m.lines[i]
		c.keys[i] = [2]uint64{line.keys[now^1].Load(), line.keys[now].Load()}
		c.scenarios[i] = [2]uint64{line.scenarios[now^1].Load(), line.scenarios[now].Load()}
	}
	return c
}

// restore adds the marks of a line: of keys, and if it is known in which scenarios, of
// those. Nobody else marks meanwhile.
func (m *marks) restore(i int, keys, scenarios [2]uint64) {
	now, line := m.current.Load(), &m.lines[i]
	line.keys[now^1].Or(keys[0])
	line.keys[now].Or(keys[1])
	line.scenarios[now^1].Or(scenarios[0])
	line.scenarios[now].Or(scenarios[1])
}

// addRestored marks a key whose bucket was restored. However many there are, no mark gives
// way: a drain of theirs that is left out would be missed.
func (m *marks) addRestored(hash uint64, scenario uint16) {
	now, line := m.current.Load(), m.line(hash)
	line.scenarios[now].Or(markIn(hash, scenario))
	if !line.has(hash) {
		line.keys[now].Or(markOf(hash))
		m.count(1)
	}
}

// count counts marks that were restored into the current generation. The next mark beside
// them may be the last of it.
func (m *marks) count(n int64) { m.made.Store(min(m.made.Load()+n, markedKeys-1)) }
