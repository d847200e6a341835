package scenario

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
)

// Meaning returns a hash of what a hit of the scenario says, whoever counts it and up to
// what number: of its expressions, their data files and the weight. Two tasks mean the same
// by a hit if their scenarios have one name and one Meaning. It is the same in every process.
//
// Two versions of Weir may find out one of their facts (weir.*) in different ways: that is
// no other Meaning. And the files are known of scenarios of a Set alone, which are not off.
func (s *Scenario) Meaning() [16]byte {
	text := []byte("what a hit of a scenario means, 1\n")
	for _, x := range []expression{s.filter, s.groupby, s.distinct, s.drain, s.cancel, s.shield, s.condition, s.overflow} {
		text = fmt.Appendf(text, "%q\n", x.text)
	}
	text = fmt.Appendf(text, "%s\n", weightNames[s.weight])
	for _, f := range s.contents {
		text = fmt.Appendf(text, "%q %s %x\n", f.name, f.kind, f.hash)
	}
	return digest(text)
}

// Definition returns a hash of all that decides what is in the scenario's buckets, with
// what variables have changed: of its Meaning, and of the numbers by which it counts. What
// was counted under another Definition says nothing. What becomes of an alert (severity,
// ban, action, mode, blackhole, how many requests it carries) has no part in it.
func (s *Scenario) Definition() [16]byte {
	meaning := s.Meaning()
	text := fmt.Appendf(nil, "what a scenario counts, 1\n%x\n%v %d %d %d %d\n", meaning, s.Kind, s.Capacity, s.Leak, s.Spacing, s.Sampling())
	text = fmt.Appendf(text, "%d %d\n", s.drainBy, s.Shield)
	return digest(fmt.Appendf(text, "%d %d %d %v\n", s.Group.By, s.Group.V4, s.Group.V6, s.Group.Members))
}

func digest(text []byte) [16]byte {
	sum := sha256.Sum256(text)
	return [16]byte(sum[:])
}

// A content is what stood in a data file when the scenario was compiled.
type content struct {
	name, kind string
	hash       [sha256.Size]byte
}

// keep notes what was read of a data file, by which the scenario's meaning is known.
func (s *Scenario) keep(name, kind string, text []byte) {
	at, known := slices.BinarySearchFunc(s.contents, name, func(c content, name string) int { return cmp.Compare(c.name, name) })
	c := content{name, kind, sha256.Sum256(text)}
	if known {
		s.contents[at] = c
		return
	}
	s.contents = slices.Insert(slices.Clip(s.contents), at, c) // the caller's list may have the rest of it
}
