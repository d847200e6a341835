package waf

// order is a heap of entries, each of which knows its place, so that any of them
// can be taken out or moved.
type order struct {
	list  []*entry
	first func(a, b *entry) bool
	place func(e *entry) *int32 // its index + 1; 0 = it is not in here
}

func (o *order) top() *entry {
	if len(o.list) == 0 {
		return nil
	}
	return o.list[0]
}

// add puts e in, or to its right place if it was in already.
func (o *order) add(e *entry) {
	at := o.place(e)
	if *at == 0 {
		o.list = append(o.list, e)
		*at = int32(len(o.list))
	}
	o.settle(int(*at) - 1)
}

// remove takes e out, if it is in.
func (o *order) remove(e *entry) {
	at := o.place(e)
	if *at == 0 {
		return
	}
	i, last := int(*at)-1, len(o.list)-1
	o.swap(i, last)
	o.list[last] = nil
	o.list = o.list[:last]
	*at = 0
	if i < last {
		o.settle(i)
	}
}

func (o *order) swap(i, j int) {
	o.list[i], o.list[j] = o.list[j], o.list[i]
	*o.place(o.list[i]), *o.place(o.list[j]) = int32(i+1), int32(j+1)
}

// settle moves the entry at i up or down to where it belongs.
func (o *order) settle(i int) {
	for i > 0 && o.first(o.list[i], o.list[(i-1)/2]) {
		o.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		best := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(o.list); child++ {
			if o.first(o.list[child], o.list[best]) {
				best = child
			}
		}
		if best == i {
			return
		}
		o.swap(i, best)
		i = best
	}
}

// clear empties the heap.
func (o *order) clear() {
	for _, e := range o.list {
		*o.place(e) = 0
	}
	o.list = nil
}
