package filter

// An automaton finds many needles in one pass over a text: the textbook machine of Aho
// and Corasick with every transition worked out. It does not tell ASCII letters of
// either case apart. It is immutable.
type automaton struct {
	class   [256]uint8 // bytes that no needle holds share class 0
	shift   uint8      // a state's transitions begin at state << shift
	next    []uint16   // ... + class -> next state << 1, and 1 if needles end there
	ends    [][]ending // of each state: the needles that end there
	longest int
}

// An ending is a needle, and the bit that it sets.
type ending struct{ needle, bit uint16 }

// maxStates is what fits beside the mark.
const maxStates = 1 << 15

// newAutomata makes machines for some needles, given by their indexes: one, if they do
// not need too many states.
func newAutomata(needles []needle, which []int) []*automaton {
	var list []*automaton
	for len(which) > 0 {
		states, n := 1, 0
		for n < len(which) && states+len(needles[which[n]].text) < maxStates {
			states += len(needles[which[n]].text)
			n++
		}
		list = append(list, newAutomaton(needles, which[:n]))
		which = which[n:]
	}
	return list
}

func newAutomaton(needles []needle, which []int) *automaton {
	a := &automaton{}
	classes := 1
	for _, i := range which {
		text := needles[i].text
		a.longest = max(a.longest, len(text))
		for i := range len(text) {
			if c := lower(text[i]); a.class[c] == 0 {
				a.class[c] = uint8(classes)
				classes++
			}
		}
	}
	for c := byte('A'); c <= 'Z'; c++ {
		a.class[c] = a.class[lower(c)]
	}
	for 1<<a.shift < classes {
		a.shift++
	}
	a.addState()
	for _, i := range which {
		a.insert(ending{uint16(i), uint16(needles[i].bit)}, needles[i].text)
	}
	a.connect()
	return a
}

func (a *automaton) addState() uint16 {
	a.next = append(a.next, make([]uint16, 1<<a.shift)...)
	a.ends = append(a.ends, nil)
	return uint16(len(a.ends) - 1)
}

func (a *automaton) row(state uint16) []uint16 {
	return a.next[int(state)<<a.shift:][:1<<a.shift]
}

// insert adds a needle to the trie. Until connect, 0 means no transition, and there are
// no marks.
func (a *automaton) insert(e ending, text string) {
	state := uint16(0)
	for i := range len(text) {
		class := a.class[text[i]]
		to := a.row(state)[class]
		if to == 0 {
			to = a.addState()
			a.row(state)[class] = to
		}
		state = to
	}
	if state == 0 {
		panic("BUG: an empty needle")
	}
	a.ends[state] = append(a.ends[state], e)
}

// connect turns the trie into the machine. It goes by distance from the root: the
// fallback of a state, the state of its longest proper suffix, is complete by then.
func (a *automaton) connect() {
	fallback := make([]uint16, len(a.ends))
	queue := []uint16{0}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		row, back := a.row(state), a.row(fallback[state])
		for class, to := range row {
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
	for i, to := range a.next {
		a.next[i] = to << 1
		if len(a.ends[to]) > 0 {
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
