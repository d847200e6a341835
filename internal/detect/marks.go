package detect

import "sync/atomic"

// marks remember the keys into whose buckets something was poured that a drain or a
// cancel could take out again. Where there is no mark there is no such bucket, and a
// record that only drains costs next to nothing: nearly all that healthy visitors do is
// of that kind.
//
// A mark is two bits of one word that the key's hash selects. Marks lie in two
// generations: when so many were made that half a generation would soon be full, the
// older one is cleared and takes the new ones. So what is said of a key is right for as
// long as fewer than markedKeys others failed since its own latest failure; beyond that,
// in a flood, a drain may be left out, and after it a client with few failures is judged
// by those alone.
type marks struct {
	words   [2][1 << markBits]atomic.Uint64
	current atomic.Uint32
	made    atomic.Int64 // in the current generation
}

const (
	markBits = 14 // of the number of a word

	// markedKeys is how many keys a generation takes. Then about two bits of five are
	// set, and one key of six that has none seems to have a mark.
	markedKeys = 1 << 18
)

func markOf(hash uint64) (word int, mark uint64) {
	return int(hash >> (64 - markBits)), 1<<(hash&63) | 1<<(hash>>6&63)
}

// add marks the key with a hash.
func (m *marks) add(hash uint64) {
	word, mark := markOf(hash)
	now := m.current.Load()
	w := &m.words[now][word]
	if w.Load()&mark == mark || w.Or(mark)&mark == mark || m.made.Add(1) != markedKeys {
		return
	}
	older := &m.words[now^1]
	for i := range older {
		older[i].Store(0)
	}
	m.current.Store(now ^ 1)
	m.made.Store(0)
}

// has reports whether the key with a hash may be marked.
func (m *marks) has(hash uint64) bool {
	word, mark := markOf(hash)
	return m.words[0][word].Load()&mark == mark || m.words[1][word].Load()&mark == mark
}
