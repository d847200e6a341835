package detect

// owners finds the buckets that distinct values belong to, by their birth numbers. Several
// may have the same: where a value lies tells which of them has it.
type owners struct {
	slots []owner
	count int
	born  [(bornMask + 1) / 64]uint64 // a bit for each birth number: most values are of buckets that died
}

type owner struct {
	hash   uint64 // distinctOwner of the bucket
	bucket uint32 // its number in the snapshot
	born   uint32 // 0 = the slot is free
}

// newOwners returns one with room for about so many.
func newOwners(buckets int) *owners { return &owners{slots: make([]owner, buckets+buckets/2+64)} }

func (o *owners) slot(born uint32) int { return scale(born*0x9e3779b1, len(o.slots)) }

func (o *owners) add(of owner) {
	if o.count++; o.count*8 > len(o.slots)*7 {
		all := o.slots
		o.slots = make([]owner, 2*len(all))
		for _, of := range all {
			if of.born != 0 {
				o.put(of)
			}
		}
	}
	o.born[of.born>>6] |= 1 << (of.born & 63)
	o.put(of)
}

func (o *owners) put(of owner) {
	i := o.slot(of.born)
	for o.slots[i].born != 0 {
		if i++; i == len(o.slots) {
			i = 0
		}
	}
	o.slots[i] = of
}

// find returns the number of the bucket that has a value, which lies in one of so many
// sets.
func (o *owners) find(value uint64, set, sets int) (bucket uint32, ok bool) {
	born := uint32(value>>untilBits) & bornMask
	if o.born[born>>6]>>(born&63)&1 == 0 {
		return 0, false
	}
	fingerprint := uint32(value >> 32)
	for i := o.slot(born); o.slots[i].born != 0; {
		if of := &o.slots[i]; of.born == born && scale(uint32(distinctOf(of.hash, fingerprint)>>32), sets) == set {
			return of.bucket, true
		}
		if i++; i == len(o.slots) {
			i = 0
		}
	}
	return 0, false
}
