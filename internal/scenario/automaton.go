package scenario

// An automaton finds many needles in one pass over a text: the textbook machine
// of Aho and Corasick with every transition worked out, so that a byte of text
// costs one look-up however many needles there are. It is immutable.
type automaton struct {
	class   [256]uint8 // bytes that no needle holds share class 0
	classes int
	next    []uint16 // state*classes + class -> state, marked if needles end there
	ends    [][]int  // state -> indices of the needles that end there
	needles []needle
}

// A state in next carries a mark if needles end there.
const (
	endsHere  = 1 << 15
	maxStates = endsHere
)

// A needle is a text to be found and what is then true.
type needle struct {
	text  string // in lower case
	facts facts
	edge  edge
}

// edge says where a needle must stand. A word is made of letters, digits and '_'.
type edge uint8

const (
	wordStart edge = 1 << iota // the byte before it is not part of a word
	wordEnd                    // the byte after it is not part of a word
	atStart                    // it begins the text
	atEnd                      // it ends the text

	anywhere edge = 0
	word          = wordStart | wordEnd
)

func newAutomaton(needles []needle) *automaton {
	a := &automaton{needles: needles, classes: 1}
	for _, n := range needles {
		for i := range len(n.text) {
			if c := n.text[i]; a.class[c] == 0 {
				a.class[c] = uint8(a.classes)
				a.classes++
			}
		}
	}
	a.addState()
	for i, n := range needles {
		a.insert(i, n.text)
	}
	a.connect()
	for i, state := range a.next {
		if len(a.ends[state]) > 0 {
			a.next[i] = state | endsHere
		}
	}
	return a
}

func (a *automaton) addState() uint16 {
	if len(a.ends) == maxStates {
		panic("BUG: too many needles")
	}
	a.next = append(a.next, make([]uint16, a.classes)...)
	a.ends = append(a.ends, nil)
	return uint16(len(a.ends) - 1)
}

// insert adds a needle to the trie. Until connect, 0 means no transition.
func (a *automaton) insert(index int, text string) {
	if text == "" {
		panic("BUG: an empty needle")
	}
	state := uint16(0)
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
func (a *automaton) connect() {
	fallback := make([]uint16, len(a.ends))
	queue := []uint16{0}
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

// find returns what the needles in a text say of it.
func (a *automaton) find(text []byte) facts {
	var found facts
	state := 0
	for i, c := range text {
		state = int(a.next[state*a.classes+int(a.class[c])])
		if state&endsHere != 0 {
			state &^= endsHere
			for _, index := range a.ends[state] {
				n := &a.needles[index]
				if found&n.facts != n.facts && n.stands(text, i+1-len(n.text), i+1) {
					found |= n.facts
				}
			}
		}
	}
	return found
}

// stands reports whether a needle found in text[from:to] stands where it must.
func (n *needle) stands(text []byte, from, to int) bool {
	switch {
	case n.edge == anywhere:
		return true
	case n.edge&wordStart != 0 && from > 0 && isWord(text[from-1]),
		n.edge&wordEnd != 0 && to < len(text) && isWord(text[to]),
		n.edge&atStart != 0 && from > 0,
		n.edge&atEnd != 0 && to < len(text):
		return false
	}
	return true
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || 'A' <= c && c <= 'Z'
}
