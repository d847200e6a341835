package filter

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr"
)

// A helper is a function that CrowdSec adds to expr. Its faults are CrowdSec's too: a
// number that is none is 0, an address that is none is in no range.
type helper struct {
	name string
	typ  any // a nil func of the type; the checker's
	call func(args ...any) (any, error)
}

func oneString(f func(string) string) (any, func(...any) (any, error)) {
	return new(func(string) string), func(a ...any) (any, error) { return f(a[0].(string)), nil }
}

func twoStrings[T any](f func(string, string) T) (any, func(...any) (any, error)) {
	return new(func(string, string) T), func(a ...any) (any, error) { return f(a[0].(string), a[1].(string)), nil }
}

// stringHelpers turn one string into another. The compiler knows them by name.
var stringHelpers = map[string]func(string) string{
	"Upper": strings.ToUpper, "Lower": strings.ToLower,
	"PathUnescape": pathUnescape, "QueryUnescape": queryUnescape,
	"PathEscape": url.PathEscape, "QueryEscape": url.QueryEscape,
	"TrimSpace": strings.TrimSpace,
}

// helpers are those that need no data file, but stringHelpers.
var helpers = func() []helper {
	list := []helper{
		{"Atof", new(func(string) float64), func(a ...any) (any, error) {
			f, _ := strconv.ParseFloat(a[0].(string), 64)
			return f, nil
		}},
		{"JsonExtract", new(func(string, string) string), func(a ...any) (any, error) {
			return jsonExtract(a[0].(string), a[1].(string)), nil
		}},
		{"B64Decode", new(func(string) string), b64Decode},
		{"Fields", new(func(string) []string), func(a ...any) (any, error) { return strings.Fields(a[0].(string)), nil }},
		{"Join", new(func([]string, string) string), func(a ...any) (any, error) {
			return strings.Join(a[0].([]string), a[1].(string)), nil
		}},
		{"SplitN", new(func(string, string, int) []string), func(a ...any) (any, error) {
			return strings.SplitN(a[0].(string), a[1].(string), a[2].(int)), nil
		}},
		{"SplitAfterN", new(func(string, string, int) []string), func(a ...any) (any, error) {
			return strings.SplitAfterN(a[0].(string), a[1].(string), a[2].(int)), nil
		}},
		{"Replace", new(func(string, string, string, int) string), func(a ...any) (any, error) {
			return strings.Replace(a[0].(string), a[1].(string), a[2].(string), a[3].(int)), nil
		}},
		{"ReplaceAll", new(func(string, string, string) string), func(a ...any) (any, error) {
			return strings.ReplaceAll(a[0].(string), a[1].(string), a[2].(string)), nil
		}},
		{"Get", new(func([]string, int) string), func(a ...any) (any, error) {
			list, i := a[0].([]string), a[1].(int)
			if i >= len(list) {
				return "", nil
			}
			return list[i], nil
		}},
		{"ToString", new(func(any) string), func(a ...any) (any, error) {
			s, _ := a[0].(string)
			return s, nil
		}},
		{"Sprintf", new(func(string, ...any) string), func(a ...any) (any, error) {
			return fmt.Sprintf(a[0].(string), a[1:]...), nil
		}},
		{"IsIP", new(func(string) bool), isAddress(func(netip.Addr) bool { return true })},
		{"IsIPV4", new(func(string) bool), isAddress(netip.Addr.Is4)},
		{"IsIPV6", new(func(string) bool), isAddress(netip.Addr.Is6)},
		{"ParseUri", new(func(string) map[string][]string), func(a ...any) (any, error) { return parseURI(a[0].(string)), nil }},
		{"Flatten", new(func(...any) []any), func(a ...any) (any, error) { return flatten(nil, a), nil }},
		{"Distinct", new(func(any) []any), func(a ...any) (any, error) { return distinct(flatten(nil, a)), nil }},
		{"FlattenDistinct", new(func(...any) []any), func(a ...any) (any, error) { return distinct(flatten(nil, a)), nil }},
		{"AverageInterval", new(func([]any) time.Duration), averageInterval},
		{"MedianInterval", new(func([]any) time.Duration), medianInterval},
		{"FloatApproxEqual", new(func(float64, float64) bool), func(a ...any) (any, error) {
			return math.Abs(a[0].(float64)-a[1].(float64)) < 1e-6, nil
		}},
	}
	add := func(name string, typ any, call func(...any) (any, error)) {
		list = append(list, helper{name, typ, call})
	}
	pair := func(name string, f func(string, string) string) {
		typ, call := twoStrings(f)
		add(name, typ, call)
	}
	pair("Trim", strings.Trim)
	pair("TrimLeft", strings.TrimLeft)
	pair("TrimRight", strings.TrimRight)
	pair("TrimPrefix", strings.TrimPrefix)
	pair("TrimSuffix", strings.TrimSuffix)
	pair("IpToRange", toRange)
	number := func(name string, f func(string, string) int) {
		typ, call := twoStrings(f)
		add(name, typ, call)
	}
	number("Index", strings.Index)
	number("IndexAny", strings.IndexAny)
	parts := func(name string, f func(string, string) []string) {
		typ, call := twoStrings(f)
		add(name, typ, call)
	}
	parts("Split", strings.Split)
	parts("SplitAfter", strings.SplitAfter)
	parts("ExtractQueryParam", queryParam)
	test := func(name string, f func(string, string) bool) {
		typ, call := twoStrings(f)
		add(name, typ, call)
	}
	test("IpInRange", inRange)
	test("Match", wildcard)
	return list
}()

// helperOptions are expr's options for an expression whose data files are asked of data.
func helperOptions(data func(name, kind string) (*Data, error)) []expr.Option {
	var opts []expr.Option
	for name, f := range stringHelpers {
		typ, call := oneString(f)
		opts = append(opts, expr.Function(name, call, typ))
	}
	for _, h := range helpers {
		opts = append(opts, expr.Function(h.name, h.call, h.typ))
	}
	return append(opts,
		expr.Function("File", func(a ...any) (any, error) {
			d, err := data(a[0].(string), StringData)
			if err != nil {
				return nil, err
			}
			return d.lines, nil
		}, new(func(string) []string)),
		expr.Function("FileMap", func(a ...any) (any, error) {
			d, err := data(a[0].(string), MapData)
			if err != nil {
				return nil, err
			}
			return d.rows, nil
		}, new(func(string) []map[string]string)),
		expr.Function("RegexpInFile", func(a ...any) (any, error) {
			d, err := data(a[1].(string), RegexpData)
			if err != nil {
				return nil, err
			}
			return d.matchesRegexp(a[0].(string)), nil
		}, new(func(string, string) bool)),
		expr.Function("LookupFile", func(a ...any) (any, error) {
			d, err := data(a[1].(string), MapData)
			if err != nil {
				return nil, err
			}
			return d.lookUp(a[0].(string)), nil
		}, new(func(string, string) string)),
	)
}

// dataFunctions are the functions of helperOptions, and the type of data that they
// want and where its name stands among their arguments.
var dataFunctions = map[string]struct {
	kind string
	name int
}{
	"File": {StringData, 0}, "FileMap": {MapData, 0}, "RegexpInFile": {RegexpData, 1}, "LookupFile": {MapData, 1},
}

// functionNames returns the names of all functions that are not expr's own.
func functionNames() []string {
	var names []string
	for name := range stringHelpers {
		names = append(names, name)
	}
	for _, h := range helpers {
		names = append(names, h.name)
	}
	for name := range dataFunctions {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func b64Decode(a ...any) (any, error) {
	plain, err := base64.StdEncoding.DecodeString(a[0].(string))
	return string(plain), err
}

func isAddress(is func(netip.Addr) bool) func(...any) (any, error) {
	return func(a ...any) (any, error) {
		addr, err := netip.ParseAddr(a[0].(string))
		return err == nil && addr.Zone() == "" && is(addr.Unmap()), nil
	}
}

func inRange(ip, cidr string) bool {
	addr, err := netip.ParseAddr(ip)
	if err != nil || addr.Zone() != "" {
		return false
	}
	prefix, err := netip.ParsePrefix(cidr)
	return err == nil && prefix.Contains(addr.Unmap())
}

func toRange(ip, bits string) string {
	n, err := strconv.Atoi(strings.TrimPrefix(bits, "/"))
	if err != nil {
		return ""
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	prefix, err := addr.Prefix(n)
	if err != nil {
		return ""
	}
	return prefix.String()
}

func parseURI(uri string) map[string][]string {
	u, err := url.Parse(uri)
	if err != nil {
		return map[string][]string{}
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return map[string][]string{}
	}
	return values
}

func queryParam(uri, param string) []string {
	if values, ok := parseURI(uri)[param]; ok {
		return values
	}
	return []string{}
}

// wildcard is CrowdSec's Match: '*' stands for any text and '?' for any byte.
func wildcard(pattern, name string) bool {
	star, back := -1, 0 // where the last '*' is, and where what follows it was tried last
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, back = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			back++
			p, n = star+1, back
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// jsonExtract returns what stands at a path such as a.b[0] of a JSON text: of a string
// what is between its quotes, as it stands; "" if there is nothing.
func jsonExtract(text, path string) string {
	if !strings.HasPrefix(path, "[") {
		path = strings.ReplaceAll(path, "[", ".[")
	}
	raw := json.RawMessage(text)
	for step := range strings.SplitSeq(path, ".") {
		if index, ok := strings.CutPrefix(step, "["); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
			var list []json.RawMessage
			if err != nil || json.Unmarshal(raw, &list) != nil || n < 0 || n >= len(list) {
				return ""
			}
			raw = list[n]
			continue
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil {
			return ""
		}
		value, ok := object[step]
		if !ok {
			return ""
		}
		raw = value
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) >= 2 && raw[0] == '"' {
		raw = raw[1 : len(raw)-1]
	}
	return string(raw)
}
