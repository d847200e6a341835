package awslocal

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
)

const maxAddresses = 10_000 // in an IP set

// addressSet is an IP set's content. It is never changed once made.
type addressSet struct {
	has     map[netip.Prefix]struct{}
	sorted  []netip.Prefix
	lengths []int // of the prefixes in it, each once
}

func newAddressSet(list []netip.Prefix) *addressSet {
	s := &addressSet{has: make(map[netip.Prefix]struct{}, len(list))}
	lengths := make(map[int]struct{})
	for _, p := range list {
		s.has[p] = struct{}{}
		lengths[p.Bits()] = struct{}{}
	}
	s.sorted = slices.SortedFunc(maps.Keys(s.has), comparePrefixes)
	s.lengths = slices.Sorted(maps.Keys(lengths))
	return s
}

func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits())
}

// contains takes one look-up for each prefix length in the set, of which a set
// has few: fast enough to be asked for each request of a demo.
func (s *addressSet) contains(a netip.Addr) bool {
	for _, n := range s.lengths {
		p, err := a.Prefix(n)
		if err != nil {
			return false // an IPv4 address has no prefix of an IPv6 set's length
		}
		if _, ok := s.has[p]; ok {
			return true
		}
	}
	return false
}

// minus returns what is in s and not in o, sorted.
func (s *addressSet) minus(o *addressSet) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range s.sorted {
		if _, ok := o.has[p]; !ok {
			out = append(out, p)
		}
	}
	return out
}

// parseAddresses checks a list of CIDRs as AWS does: it refuses the whole list
// for one bad element. It also refuses an element that comes twice, of which
// AWS's answer is not known: a client that sends one is not sure of its list.
func parseAddresses(family string, list *[]string) (*addressSet, error) {
	if list == nil {
		return nil, invalidWAF("addresses", "null", "member must not be null")
	}
	if len(*list) > maxAddresses {
		return nil, overLimit("an IP set has at most %d addresses, not %d", maxAddresses, len(*list))
	}
	prefixes := make([]netip.Prefix, 0, len(*list))
	for _, s := range *list {
		p, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			return nil, badParameter("IP_ADDRESS", s, "The parameter contains formatting that is not valid")
		case p.Masked() != p:
			return nil, badParameter("IP_ADDRESS", s, "The prefix has host bits set")
		case p.Bits() == 0:
			return nil, badParameter("IP_ADDRESS", s, "AWS WAF does not support /0")
		case p.Addr().Is4() != (family == "IPV4") || p.Addr().Is4In6():
			return nil, badParameter("IP_ADDRESS", s, "The address is not of the set's version "+family)
		}
		prefixes = append(prefixes, p)
	}
	set := newAddressSet(prefixes)
	if len(set.has) == len(prefixes) {
		return set, nil
	}
	seen := make(map[netip.Prefix]bool)
	for i, p := range prefixes {
		if seen[p] {
			return nil, badParameter("IP_ADDRESS", (*list)[i], "The address is in the list twice")
		}
		seen[p] = true
	}
	panic("BUG: a set is smaller than its list without a duplicate")
}

type (
	createIPSetInput struct {
		Name, Scope, IPAddressVersion string
		Description                   *string
		Addresses                     *[]string
		Tags                          []wafTag
	}
	updateIPSetInput struct {
		lockedIdentity
		Description *string
		Addresses   *[]string
	}
	wafIPSet struct {
		Name, Id, ARN    string
		Description      string `json:",omitempty"`
		IPAddressVersion string
		Addresses        []string
	}
)

func (w *WAF) createIPSet(c wafCall, in *createIPSetInput) (any, error) {
	noteResource(c.w, in.Name)
	p, err := c.place(in.Scope)
	if err := firstError(err, checkDescription(in.Description)); err != nil {
		return nil, err
	}
	if in.IPAddressVersion != "IPV4" && in.IPAddressVersion != "IPV6" {
		return nil, invalidWAF("iPAddressVersion", in.IPAddressVersion, "IPV4 or IPV6")
	}
	set, err := parseAddresses(in.IPAddressVersion, in.Addresses)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &wafResource{wafKey: wafKey{kindIPSet, p, in.Name}, family: in.IPAddressVersion, tags: in.Tags}
	out, err := w.create(r, wafState{description: deref(in.Description), set: set})
	if err == nil {
		w.note(r, newAddressSet(nil), false)
	}
	return out, err
}

func (w *WAF) getIPSet(c wafCall, in *identity) (any, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	r, err := w.find(c, kindIPSet, *in)
	if err != nil {
		return nil, err
	}
	s := w.shown(r, w.getLag)
	if s == nil {
		return nil, nonexistent("IP set " + in.Name)
	}
	out := wafIPSet{
		Name: r.name, Id: r.id, ARN: r.arn, Description: s.description, IPAddressVersion: r.family,
		Addresses: make([]string, len(s.set.sorted)),
	}
	for i, p := range s.set.sorted {
		out.Addresses[i] = prefixString(p)
	}
	return map[string]any{"IPSet": out, "LockToken": s.token}, nil
}

// updateIPSet replaces everything that can be changed. A description that is
// left out is gone, as AWS's words have it.
func (w *WAF) updateIPSet(c wafCall, in *updateIPSetInput) (any, error) {
	if err := checkDescription(in.Description); err != nil {
		return nil, err
	}
	if w.cfg.WAF.Meddle != nil {
		w.cfg.WAF.Meddle(in.Name)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r, err := w.findLocked(c, kindIPSet, in.lockedIdentity)
	if err != nil {
		return nil, err
	}
	set, err := parseAddresses(r.family, in.Addresses)
	if err != nil {
		return nil, err
	}
	before := r.latest().set
	token := w.become(r, wafState{description: deref(in.Description), set: set})
	w.note(r, before, false)
	return map[string]any{"NextLockToken": token}, nil
}

func (w *WAF) deleteIPSet(c wafCall, in *lockedIdentity) (any, error) {
	return w.remove(c, kindIPSet, in)
}

func (w *WAF) listIPSets(c wafCall, in *wafListInput) (any, error) {
	return w.list(c, kindIPSet, "IPSets", in)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
