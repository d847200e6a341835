package scenario

import "math/bits"

// A Gist says at once what would have to be looked for among the hits of a record, most of
// which change nothing: see package detect.
type Gist struct {
	Lowers  uint16 // index of the first hit that is a Drain or a Cancel, or of what comes in its place
	Shields uint16 // index of the first hit that is a Shield, or the number of hits

	// Apart says that a Drain or a Cancel is of a bucket for a network or a value, and
	// not for the client.
	Apart bool

	openShield bool // in an outline: more of a Shield follows from the record

	// Shield is the same for the same shields, and different for others. 0 = there are
	// none.
	Shield uint64
}

// GistOf returns the gist of hits that are in the order of Match. apart tells which
// scenarios have buckets for networks or values.
func GistOf(hits []Hit, apart func(scenario uint16) bool) Gist {
	var g Gist
	for i := range hits {
		switch hits[i].Effect {
		case Pour:
			g.Lowers++
			g.Shields++
		case Drain, Cancel:
			g.Shields++
			g.Apart = g.Apart || apart(hits[i].Scenario)
		}
	}
	g.Shield = shieldOf(hits[g.Shields:])
	return g
}

// drop changes a gist as a hit falls out, but for Shield.
func (g *Gist) drop(effect Effect) {
	switch effect {
	case Pour:
		g.Lowers--
		g.Shields--
	case Drain, Cancel:
		g.Shields--
	}
}

func shieldOf(shields []Hit) uint64 {
	var all uint64
	for i := range shields {
		hi, lo := bits.Mul64(uint64(shields[i].Group)<<16|uint64(shields[i].Scenario)^0xa0761d6478bd642f, 0xe7037ed1a0b428db)
		all += hi ^ lo | 1
	}
	return all
}

func (s *Set) isApart(scenario uint16) bool { return s.scenarios[scenario].Group.By != ByClient }
