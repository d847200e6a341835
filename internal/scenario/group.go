package scenario

import (
	"fmt"
	"slices"
	"strings"
)

// What groupby and distinct may be made of beside CrowdSec's fields. A groupby that
// has weir.client keeps a bucket for each client, one that has weir.range a bucket
// for each network; any other keeps a bucket for each value.
type part uint8

const (
	partClient part = iota
	partRange
	partFingerprint
	partHost
	partPath
	partTop
	partShape
	partRequest
	partSize
	partCount
)

var partNames = [partCount]Fact{
	{"weir.client", "the client: an IPv4 address or an IPv6 network"},
	{"weir.range", "the client's network, of the size that the scenario's range says (groupby only)"},
	{"weir.fingerprint", "what the client's software sends whatever its address: names, order and case of headers, TLS, user agent"},
	{"weir.host", "the host that was asked"},
	{"weir.path", "the path"},
	{"weir.top", "the first segment of the path"},
	{"weir.shape", "the path, with what numbers one of many things of a kind left out"},
	{"weir.request", "path and query"},
	{"weir.request_size", "the size of the request in bytes"},
}

// Values returns what groupby and distinct may be made of beside CrowdSec's fields.
func Values() []Fact { return append([]Fact(nil), partNames[:]...) }

// parts splits an expression that is made of Values alone, joined by '+'.
func parts(text string) (list []part, ok bool) {
	for name := range strings.SplitSeq(text, "+") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(partNames[:], func(f Fact) bool { return f.Name == name })
		if i < 0 {
			return nil, false
		}
		list = append(list, part(i))
	}
	return list, true
}

// group settles whom the buckets are for, as far as the file alone says.
func (s *Scenario) group() error {
	list, ok := parts(s.groupby.text)
	if strings.Contains(s.groupby.text, "weir.") && !ok {
		return fmt.Errorf("%q: allowed are an expression of evt, or %s, joined by +", s.groupby.text, names(Values()))
	}
	byRange, byClient := slices.Contains(list, partRange), slices.Contains(list, partClient)
	switch {
	case s.groupby.text == "":
		s.Group.By = ByValue
	case byRange:
		s.Group.By = ByRange
	case ok && !byClient:
		s.Group.By = ByValue
	}
	s.groups = slices.DeleteFunc(list, func(p part) bool { return p == partClient || p == partRange })
	switch {
	case byRange && byClient:
		return fmt.Errorf("%q: a bucket is for a client or for a network", s.groupby.text)
	case byRange != (s.Group.V4 != 0 || s.Group.V6 != 0):
		return fmt.Errorf("%q: %s and the key range belong together", s.groupby.text, partNames[partRange].Name)
	case s.Group.Members && s.Group.By != ByValue:
		return fmt.Errorf("%q: members needs buckets that are for neither a client nor a network", s.groupby.text)
	}
	return nil
}

func names(list []Fact) string {
	all := make([]string, len(list))
	for i, f := range list {
		all[i] = f.Name
	}
	return strings.Join(all, ", ")
}
