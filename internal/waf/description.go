package waf

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// descriptionLimit is how long AWS allows a description to be, in characters.
const descriptionLimit = 256

// A description names a hand-added entry by markLen symbols of six bits, at most
// marksLimit of them: what fits beside the other fields at their longest. Among
// 10,000 bans one is taken for hand-added by mistake once in 320,000 times then.
const (
	markLen     = 6
	marksLimit  = 21
	markSymbols = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

// description is what a Writer says about its own write. AWS replaces it together
// with the entries, so the two cannot part: a description whose sum fits the
// entries proves that a Weir wrote all of them.
//
//	weir v1 ep:17 gen:9123 n:9870 sum:5f3a9c11d0e1f223 exp:1795350821 hand:2:Ab3_-9zQqT0x
//
// exp is what was known when the set was written. Renewing a ban writes nothing,
// so it bounds no entry's life and nothing is removed because of it: it is there
// for people. hand counts the entries that people added, and names each by a mark,
// so that they are told from ours after a restart; with more than marksLimit the
// count stands alone.
type description struct {
	epoch uint64 // of the leader that wrote; 0 = it had none
	gen   uint64 // counts the writes of this set
	n     int    // entries
	sum   uint64 // of all entries, whatever their order
	exp   int64  // Unix seconds; 0 = unknown
	hand  int    // hand-added entries among n
	marks []uint64
}

// mark names an entry in the bits that markLen symbols hold.
func mark(p netip.Prefix) uint64 { return hash64(p) & (1<<(6*markLen) - 1) }

func (d description) String() string {
	var b strings.Builder
	b.WriteString("weir v1")
	if d.epoch > 0 {
		fmt.Fprintf(&b, " ep:%d", d.epoch)
	}
	fmt.Fprintf(&b, " gen:%d n:%d sum:%016x exp:%d", d.gen, d.n, d.sum, d.exp)
	if d.hand > 0 {
		fmt.Fprintf(&b, " hand:%d", d.hand)
	}
	if d.hand > 0 && len(d.marks) == d.hand && d.hand <= marksLimit {
		b.WriteByte(':')
		for _, m := range slices.Sorted(slices.Values(d.marks)) { // the same entries give the same text
			for shift := 6 * (markLen - 1); shift >= 0; shift -= 6 {
				b.WriteByte(markSymbols[m>>shift&63])
			}
		}
	}
	return b.String()
}

// parseDescription reads a description. False: a Weir did not write it, or it is
// damaged. Fields it does not know are passed over, so that a later version may
// add some.
func parseDescription(s string) (description, bool) {
	rest, ok := strings.CutPrefix(s, "weir v1 ")
	if !ok {
		return description{}, false
	}
	var d description
	found := 0
	for field := range strings.FieldsSeq(rest) {
		key, value, _ := strings.Cut(field, ":")
		var err error
		switch key {
		case "ep":
			d.epoch, err = strconv.ParseUint(value, 10, 64)
			found--
		case "gen":
			d.gen, err = strconv.ParseUint(value, 10, 64)
		case "n":
			d.n, err = strconv.Atoi(value)
		case "sum":
			d.sum, err = strconv.ParseUint(value, 16, 64)
		case "exp":
			d.exp, err = strconv.ParseInt(value, 10, 64)
		case "hand":
			err = d.parseHand(value)
			found--
		default:
			found--
		}
		if err != nil {
			return description{}, false
		}
		found++
	}
	return d, found == 4 && d.n >= 0
}

func (d *description) parseHand(value string) error {
	count, marks, named := strings.Cut(value, ":")
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	if n < 0 || named && len(marks) != markLen*n {
		return fmt.Errorf("%d entries, %d symbols of marks", n, len(marks))
	}
	d.hand = n
	for ; marks != ""; marks = marks[markLen:] {
		var m uint64
		for i := range markLen {
			six := strings.IndexByte(markSymbols, marks[i])
			if six < 0 {
				return fmt.Errorf("%q in a mark", marks[i])
			}
			m = m<<6 | uint64(six)
		}
		d.marks = append(d.marks, m)
	}
	return nil
}

// evidence is what a description proves about the entries it came with.
type evidence struct {
	weir  bool            // a Weir wrote exactly these entries, but for added
	d     description     // what it says
	added netip.Prefix    // one entry that came later, by hand; invalid = none
	marks map[uint64]bool // hand-added when the Weir wrote; nil = too many to name
}

// examine checks a description against the entries of its set.
//
// The sum is additive on purpose. When people add one entry to a set that no
// Weir is watching, the difference of the sums is that entry's hash, which finds
// it among thousands: the rest stays proven.
func examine(desc string, held []netip.Prefix, opaque []string) evidence {
	d, ok := parseDescription(desc)
	if !ok {
		return evidence{}
	}
	ev := evidence{d: d}
	sum := checksum(held, opaque)
	switch len(held) + len(opaque) {
	case d.n:
		ev.weir = sum == d.sum
	case d.n + 1:
		for _, p := range held {
			if hash64(p) == sum-d.sum {
				ev.weir, ev.added = true, p
				break
			}
		}
	}
	if len(d.marks) == d.hand {
		ev.marks = make(map[uint64]bool, d.hand)
		for _, m := range d.marks {
			ev.marks[m] = true
		}
	}
	return ev
}

// ours reports whether it is proven that a Weir, not a person, put p there.
func (ev *evidence) ours(p netip.Prefix) bool {
	return ev.weir && ev.marks != nil && !ev.hands(p)
}

// hands reports whether it is proven that a person put p there.
func (ev *evidence) hands(p netip.Prefix) bool {
	return ev.weir && (p == ev.added || ev.marks[mark(p)])
}

func checksum(held []netip.Prefix, opaque []string) uint64 {
	var sum uint64
	for _, p := range held {
		sum += hash64(p)
	}
	for _, s := range opaque {
		sum += hashText(s)
	}
	return sum
}
