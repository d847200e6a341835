package ban

import (
	"fmt"
	"net/netip"
	"strings"
)

// The widest ranges that may be banned without force: a wider one is a mistake
// more often than a wish, and shuts out whole countries.
const (
	MinBits4 = 16
	MinBits6 = 32
)

// maxPrefixText is longer than any address with a length behind it.
const maxPrefixText = 64

// ParsePrefix reads an address or a range: "192.0.2.1", "192.0.2.0/24",
// "2001:db8::1", "2001:db8::/64". A single address becomes the prefix of its
// whole length; an IPv6 one stays a /128, which does not cover the /64 that
// Weir counts as a client. Its errors are *RefusedError with code
// RefusedPrefix: zones, IPv4 in IPv6 clothes and bits behind the prefix length
// are refused, not repaired, because they show that something else was meant.
func ParsePrefix(s string) (netip.Prefix, error) {
	if len(s) > maxPrefixText {
		return netip.Prefix{}, refuse(RefusedPrefix, "an address of %d bytes: an address or range has at most %d", len(s), maxPrefixText)
	}
	var p netip.Prefix
	if strings.Contains(s, "/") {
		var err error
		if p, err = netip.ParsePrefix(s); err != nil {
			return netip.Prefix{}, refuse(RefusedPrefix, "%q is no range: write it like 192.0.2.0/24 or 2001:db8::/64", s)
		}
	} else {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, refuse(RefusedPrefix, "%q is no address: write it like 192.0.2.1, 2001:db8::1 or 192.0.2.0/24", s)
		}
		if a.Zone() != "" {
			return netip.Prefix{}, refuse(RefusedPrefix, "%q has a zone, which means nothing outside its own host: leave out %%%s", s, a.Zone())
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if err := checkPrefix(p); err != nil {
		return netip.Prefix{}, err
	}
	return p, nil
}

// checkPrefix refuses what is not in the one form that prefixes have here.
func checkPrefix(p netip.Prefix) error {
	switch {
	case !p.IsValid():
		return refuse(RefusedPrefix, "no address given: write one like 192.0.2.1 or 192.0.2.0/24")
	case p.Addr().Is4In6():
		return refuse(RefusedPrefix, "%s is an IPv4 address in IPv6 form: write %s", p, FormatPrefix(unmapped(p)))
	case p != p.Masked():
		return refuse(RefusedPrefix, "%s has bits behind its length: write %s for the range or %s for the address", p, p.Masked(), p.Addr())
	}
	return nil
}

// checkWidth refuses ranges wider than people may ban, unless they insist; what
// is wider than any IP set takes is refused all the same.
func checkWidth(p netip.Prefix, insist bool) error {
	switch {
	case isWide(p) && !insist:
		return refuse(RefusedWidth, "%s is wider than /%d: ban narrower ranges one by one, or force it", p, widest(p))
	case p.Bits() == 0:
		return refuse(RefusedWidth, "%s is everybody: AWS WAF takes /1 at the widest", p)
	}
	return nil
}

// isWide reports whether p is wider than what is banned without force.
func isWide(p netip.Prefix) bool { return p.Bits() < widest(p) }

func widest(p netip.Prefix) int {
	if p.Addr().Is4() {
		return MinBits4
	}
	return MinBits6
}

func unmapped(p netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(p.Addr().Unmap(), max(0, p.Bits()-96)).Masked()
}

// FormatPrefix writes p as ParsePrefix reads it: a single address without its
// length.
func FormatPrefix(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// Refusal says why a decision was not made.
type Refusal string

// Why the wish of a person is refused. The texts are codes of the API.
const (
	RefusedPrefix    Refusal = "prefix"    // not an address or range
	RefusedWidth     Refusal = "width"     // too wide a range
	RefusedAllowlist Refusal = "allowlist" // overlaps the allowlist
	RefusedReserved  Refusal = "reserved"  // nobody's on the internet
	RefusedUntil     Refusal = "duration"  // ends too soon or too late
	RefusedAction    Refusal = "action"    // no such action
	RefusedReason    Refusal = "reason"    // too long, or not plain text
	RefusedQuery     Refusal = "query"     // a cursor or limit that List does not know
)

// RefusedError is what is wrong with a wish, in words for the person who had it.
type RefusedError struct {
	Code Refusal
	text string
}

func (e *RefusedError) Error() string { return e.text }

func refuse(code Refusal, format string, args ...any) error {
	return &RefusedError{Code: code, text: fmt.Sprintf(format, args...)}
}
