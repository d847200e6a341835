package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// What a publisher may say. A list that goes beyond it is taken for a mistake or worse,
// since whoever is in it passes for a crawler.
const (
	mostPrefixes = 20_000
	widest4      = 8  // bits
	widest6      = 20 // bits
	deepest      = 8  // nested values of JSON
)

// parsePublished reads a list of ranges as publishers write them: JSON in which the ranges
// are strings below keys such as "ipv4Prefix", "ip_prefix" or "prefixes", or text with an
// address or a range a line. It returns them sorted, each once. An error says what is
// wrong with the list; one that holds no ranges is an error too.
func parsePublished(body []byte) ([]netip.Prefix, error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	var prefixes []netip.Prefix
	var err error
	if len(body) > 0 && (body[0] == '{' || body[0] == '[') {
		var value any
		if err := json.Unmarshal(body, &value); err != nil {
			return nil, fmt.Errorf("no JSON: %w", err)
		}
		prefixes, err = appendJSON(nil, value, false, 0)
	} else {
		prefixes, err = appendText(nil, body)
	}
	if err != nil {
		return nil, err
	}
	if len(prefixes) == 0 {
		return nil, errors.New("no ranges in it")
	}
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	return slices.Compact(prefixes), nil
}

// appendJSON appends the ranges in a value. Strings are ranges where a key above says so.
func appendJSON(prefixes []netip.Prefix, value any, below bool, depth int) (_ []netip.Prefix, err error) {
	if depth > deepest {
		return nil, errors.New("nested too deep")
	}
	switch value := value.(type) {
	case string:
		if below {
			return appendPrefix(prefixes, value)
		}
	case []any:
		for _, v := range value {
			if prefixes, err = appendJSON(prefixes, v, below, depth+1); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key, v := range value {
			if _, isText := v.(string); isText && !holdsRange(key) {
				continue // a region or a service beside the range
			}
			if prefixes, err = appendJSON(prefixes, v, holdsRange(key), depth+1); err != nil {
				return nil, err
			}
		}
	}
	return prefixes, nil
}

// holdsRange reports whether a key of JSON is that of a range, or of an array of them.
func holdsRange(key string) bool {
	key = strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(key))
	return slices.Contains([]string{"prefix", "prefixes", "ipv4prefix", "ipv6prefix", "ipprefix", "ip", "ips", "ipaddress", "ipv4", "ipv6", "cidr", "cidrs", "ranges"}, key)
}

func appendText(prefixes []netip.Prefix, body []byte) (_ []netip.Prefix, err error) {
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if prefixes, err = appendPrefix(prefixes, string(line)); err != nil {
			return nil, err
		}
	}
	return prefixes, nil
}

func appendPrefix(prefixes []netip.Prefix, text string) ([]netip.Prefix, error) {
	if len(prefixes) == mostPrefixes {
		return nil, fmt.Errorf("more than %d ranges", mostPrefixes)
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return nil, fmt.Errorf("%.40q is no range", text)
		}
		addr = addr.Unmap()
		p = netip.PrefixFrom(addr, addr.BitLen())
	}
	widest := widest6
	if p.Addr().Is4() {
		widest = widest4
	}
	if a := p.Addr(); p.Bits() < widest || a.Is4In6() || !a.IsGlobalUnicast() || a.IsPrivate() {
		return nil, fmt.Errorf("%s is no range that a crawler can have", p)
	}
	return append(prefixes, p.Masked()), nil
}
