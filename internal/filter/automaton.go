package filter

// An automaton finds many needles in one pass over a text: the textbook machine of Aho
// and Corasick with every transition worked out. It does not tell ASCII letters of
// either case apart. It is immutable.
type automaton struct {
	class   [256]uint8 // bytes that no needle holds share class 0
	classes uint32
	next    []uint32   // row of a state + class -> row of the next state << 1, and 1 if needles end there
	ends    [][]uint16 // of each state: the needles that end there
	longest int
}

func newAutomaton(needles []needle) *automaton {
	a := &automaton{classes: 1}
	for _, n := range needles {
		a.longest = max(a.longest, len(n.text))
		for i := range len(n.text) {
			if c := lower(n.text[i]); a.class[c] == 0 {
				a.class[c] = uint8(a.classes)
				a.classes++
			}
		}
	}
	for c := byte('A'); c <= 'Z'; c++ {
		a.class[c] = a.class[lower(c)]
	}
	a.addState()
	for i, n := range needles {
		a.insert(uint16(i), n.text)
	}
	a.connect()
	return a
}

func (a *automaton) addState() uint32 {
	row := uint32(len(a.next))
	a.next = append(a.next, make([]uint32, a.classes)...)
	a.ends = append(a.ends, nil)
	return row
}

// insert adds a needle to the trie. Until connect, 0 means no transition, and there are
// no marks.
func (a *automaton) insert(index uint16, text string) {
	if text == "" {
		panic("BUG: an empty needle")
	}
	row := uint32(0)
	for i := range len(text) {
		at := row + uint32(a.class[text[i]])
		if a.next[at] == 0 {
			to := a.addState()
			a.next[at] = to
		}
		row = a.next[at]
	}
	a.ends[row/a.classes] = append(a.ends[row/a.classes], index)
}

// connect turns the trie into the machine. It goes by distance from the root: the
// fallback of a state, the state of its longest proper suffix, is complete by then.
func (a *automaton) connect() {
	fallback := make(map[uint32]uint32, len(a.next)/int(a.classes))
	queue := []uint32{0}
	for len(queue) > 0 {
		row := queue[0]
		queue = queue[1:]
		back := a.next[fallback[row]:][:a.classes]
		for class := range a.classes {
			to := a.next[row+class]
			if to == 0 {
				if row != 0 {
					a.next[row+class] = back[class]
				}
				continue
			}
			if row != 0 {
				fallback[to] = back[class]
				a.ends[to/a.classes] = append(a.ends[to/a.classes], a.ends[back[class]/a.classes]...)
			}
			queue = append(queue, to)
		}
	}
	for i, to := range a.next {
		a.next[i] = to << 1
		if len(a.ends[to/a.classes]) > 0 {
			a.next[i] |= 1
		}
	}
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c |= 'a' - 'A'
	}
	return c
}
