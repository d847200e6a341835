package awslocal

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// forwardedLast is how many addresses at the end of a header the position ANY looks at.
const forwardedLast = 10

var wafForwardedHeader = regexp.MustCompile(`^[a-zA-Z0-9-]{1,255}$`)

// forwarded is an IPSetForwardedIPConfig: addresses are taken from a header.
type forwarded struct{ HeaderName, FallbackBehavior, Position string }

func (f *forwarded) check() error {
	if err := checkPattern("ipSetForwardedIPConfig.headerName", f.HeaderName, wafForwardedHeader); err != nil {
		return err
	}
	if !slices.Contains([]string{"MATCH", "NO_MATCH"}, f.FallbackBehavior) {
		return invalidWAF("ipSetForwardedIPConfig.fallbackBehavior", f.FallbackBehavior, "MATCH or NO_MATCH")
	}
	if !slices.Contains([]string{"FIRST", "LAST", "ANY"}, f.Position) {
		return invalidWAF("ipSetForwardedIPConfig.position", f.Position, "FIRST, LAST or ANY")
	}
	return nil
}

// match tells whether the header's address is in a set. Without the header AWS
// does not apply the rule at all, not even one that asks for the opposite.
func (f *forwarded) match(e *evaluation, arn string) bool {
	values := e.request.Header.Values(f.HeaderName)
	if len(values) == 0 {
		e.inapplicable = true
		return false
	}
	list := strings.Split(strings.Join(values, ","), ",")
	switch f.Position {
	case "FIRST":
		list = list[:1]
	case "LAST":
		list = list[len(list)-1:]
	default:
		list = list[max(0, len(list)-forwardedLast):]
	}
	valid := false
	for _, text := range list {
		if addr, err := netip.ParseAddr(strings.TrimSpace(text)); err == nil {
			valid = true
			if e.inSet(arn, addr.Unmap()) {
				return true
			}
		}
	}
	return !valid && f.FallbackBehavior == "MATCH"
}
