// Package match finds many needles in one pass over a text.
//
// It is the textbook machine of Aho and Corasick with every transition worked
// out, so that a byte of text costs one look-up however many needles there are.
// What a needle means is up to the caller: its flags, or its number.
package match

// Flags is what is true of a text that holds a needle: a set of bits.
type Flags interface {
	~uint8 | ~uint16 | ~uint32 | ~uint64
}

// A Needle is a text to be found and what is then true.
type Needle[F Flags] struct {
	Text  string // not empty; in lower case if the automaton folds or is given folded texts
	Flags F
	Edge  Edge
}

// Edge says where a needle must stand. A word is made of ASCII letters, digits and
// '_'.
type Edge uint8

const (
	WordStart Edge = 1 << iota // the byte before it is not part of a word
	WordEnd                    // the byte after it is not part of a word
	AtStart                    // it begins the text
	AtEnd                      // it ends the text

	Anywhere Edge = 0
	Word          = WordStart | WordEnd
	Whole         = AtStart | AtEnd
)

// Automaton is a set of needles. It is immutable and may be used by many goroutines.
type Automaton[F Flags] struct {
	class   [256]uint16 // bytes that no needle holds share class 0
	classes int
	next    []uint32 // state*classes + class -> state*classes, marked if needles end there
	ends    [][]int  // state -> indices of the needles that end there, longest first
	needles []Needle[F]
}

// A state in next carries a mark if needles end there.
const endsHere = 1 << 31

// New makes an automaton of needles. It panics if one is empty.
func New[F Flags](needles []Needle[F]) *Automaton[F] { return build(needles, false) }

// NewFolded is New for texts in any case: an ASCII letter of the text equals the
// needle's in lower case.
func NewFolded[F Flags](needles []Needle[F]) *Automaton[F] { return build(needles, true) }

func build[F Flags](needles []Needle[F], fold bool) *Automaton[F] {
	a := &Automaton[F]{needles: needles, classes: 1}
	for _, n := range needles {
		for i := range len(n.Text) {
			if c := n.Text[i]; a.class[c] == 0 {
				a.class[c] = uint16(a.classes)
				a.classes++
			}
		}
	}
	if fold {
		for c := 'A'; c <= 'Z'; c++ {
			a.class[c] = a.class[c|0x20]
		}
	}
	a.addState()
	for i, n := range needles {
		a.insert(i, n.Text)
	}
	a.connect()
	for i, state := range a.next {
		a.next[i] = state * uint32(a.classes)
		if len(a.ends[state]) > 0 {
			a.next[i] |= endsHere
		}
	}
	return a
}

func (a *Automaton[F]) addState() uint32 {
	a.next = append(a.next, make([]uint32, a.classes)...)
	a.ends = append(a.ends, nil)
	if len(a.next) >= endsHere {
		panic("BUG: too many needles")
	}
	return uint32(len(a.ends) - 1)
}

// insert adds a needle to the trie. Until connect, 0 means no transition.
func (a *Automaton[F]) insert(index int, text string) {
	if text == "" {
		panic("BUG: an empty needle")
	}
	state := uint32(0)
	for i := range len(text) {
		at := int(state)*a.classes + int(a.class[text[i]])
		if a.next[at] == 0 {
			to := a.addState()
			a.next[at] = to
		}
		state = a.next[at]
	}
	a.ends[state] = append(a.ends[state], index)
}

// connect turns the trie into the machine. It goes by distance from the root: a
// state's fallback, the state of its longest proper suffix, is complete by then.
func (a *Automaton[F]) connect() {
	fallback := make([]uint32, len(a.ends))
	queue := []uint32{0}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		back := a.next[int(fallback[state])*a.classes:][:a.classes]
		row := a.next[int(state)*a.classes:][:a.classes]
		for class := range row {
			to := row[class]
			if to == 0 {
				row[class] = back[class]
				continue
			}
			if state != 0 {
				fallback[to] = back[class]
				a.ends[to] = append(a.ends[to], a.ends[back[class]]...)
			}
			queue = append(queue, to)
		}
	}
}

// Len returns the number of needles.
func (a *Automaton[F]) Len() int { return len(a.needles) }

// Needle returns the needle with a number from Next: its place in what New was
// given.
func (a *Automaton[F]) Needle(index int) Needle[F] { return a.needles[index] }

// Find returns the flags of all needles that stand in a text.
func (a *Automaton[F]) Find(text []byte) F {
	var found F
	state := uint32(0)
	for i, c := range text {
		state = a.next[state+uint32(a.class[c])]
		if state&endsHere != 0 {
			state &^= endsHere
			found = a.found(found, state, text, i+1)
		}
	}
	return found
}

// FindOf is Find, and tells what the text is made of: kinds of all its bytes together.
func (a *Automaton[F]) FindOf(text []byte, kinds *[256]uint8) (found F, made uint8) {
	state := uint32(0)
	for i, c := range text {
		made |= kinds[c]
		state = a.next[state+uint32(a.class[c])]
		if state&endsHere != 0 {
			state &^= endsHere
			found = a.found(found, state, text, i+1)
		}
	}
	return found, made
}

// found adds the flags of the needles that end in a state.
func (a *Automaton[F]) found(flags F, state uint32, text []byte, at int) F {
	for _, index := range a.ends[int(state)/a.classes] {
		n := &a.needles[index]
		if flags&n.Flags != n.Flags && n.Edge.stands(text, at-len(n.Text), at) {
			flags |= n.Flags
		}
	}
	return flags
}

// A Cursor is how far Next has come in a text. Its zero value is the start.
type Cursor struct {
	at    int // bytes read
	state uint32
	ended int // needles of the state that were handed out, if it is marked
}

// At returns where the needle that Next returned last ends in the text.
func (c *Cursor) At() int { return c.at }

// Next returns the number of the next needle that stands in the text, by the place
// where it ends, of several that end together the longest first. ok is false when
// there are no more. A call reads on from the cursor: text must be the same.
func (a *Automaton[F]) Next(text []byte, c *Cursor) (index int, ok bool) {
	for {
		if c.state&endsHere != 0 {
			ends := a.ends[int(c.state&^endsHere)/a.classes]
			for c.ended < len(ends) {
				index = ends[c.ended]
				c.ended++
				if n := &a.needles[index]; n.Edge.stands(text, c.at-len(n.Text), c.at) {
					return index, true
				}
			}
		}
		state := c.state &^ endsHere
		i := c.at
		for i < len(text) && state&endsHere == 0 {
			state = a.next[state+uint32(a.class[text[i]])]
			i++
		}
		if state&endsHere == 0 {
			*c = Cursor{at: i, state: state}
			return 0, false
		}
		*c = Cursor{at: i, state: state}
	}
}

// stands reports whether a needle found in text[from:to] stands where it must.
func (e Edge) stands(text []byte, from, to int) bool {
	switch {
	case e == Anywhere:
		return true
	case e&WordStart != 0 && from > 0 && IsWord(text[from-1]),
		e&WordEnd != 0 && to < len(text) && IsWord(text[to]),
		e&AtStart != 0 && from > 0,
		e&AtEnd != 0 && to < len(text):
		return false
	}
	return true
}

// IsWord reports whether a byte is part of a word: a letter, a digit, '_'.
func IsWord(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || 'A' <= c && c <= 'Z'
}
