package api

import (
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"weir/internal/ban"
)

// defaultLimit is how many decisions a page has unless the query says so.
const defaultLimit = 100

// parseQuery reads the query of GET /api/v1/decisions. What it does not know is
// an error: a misspelt filter must not return everything.
func parseQuery(raw string) (ban.Query, error) {
	q := ban.Query{Limit: defaultLimit}
	values, err := parseValues(raw, "client", "limit", "cursor", "all", "scenario", "origin")
	if err != nil {
		return q, err
	}
	for _, name := range slices.Sorted(maps.Keys(values)) { // so that of two errors it is always the same
		v := values[name]
		switch name {
		case "client":
			q.Client, err = ban.ParsePrefix(v)
		case "limit":
			q.Limit, err = parseLimit(v)
		case "all":
			q.All, err = parseBool(name, v)
		case "origin":
			q.Origin, err = parseOrigin(v)
		case "cursor":
			q.Cursor = v
		case "scenario":
			q.Scenario = v
		}
		if err != nil {
			return q, err
		}
	}
	return q, nil
}

// parseClient reads the query of DELETE /api/v1/decisions.
func parseClient(raw string) (netip.Prefix, error) {
	values, err := parseValues(raw, "client")
	if err != nil {
		return netip.Prefix{}, err
	}
	v, ok := values["client"]
	if !ok {
		return netip.Prefix{}, badRequest("query", "say who is to be unbanned: ?client=192.0.2.1")
	}
	return ban.ParsePrefix(v)
}

// parseValues reads a query in which each of the known names stands at most once
// and with a value.
func parseValues(raw string, known ...string) (map[string]string, error) {
	parsed, err := url.ParseQuery(raw)
	if err != nil {
		return nil, badRequest("query", "the query cannot be read: %s", err)
	}
	values := make(map[string]string, len(parsed))
	for _, name := range slices.Sorted(maps.Keys(parsed)) {
		v := parsed[name]
		switch {
		case !slices.Contains(known, name):
			return nil, badRequest("query", "no parameter %q: there are %s", name, strings.Join(known, ", "))
		case len(v) > 1:
			return nil, badRequest("query", "%q is there %d times: give it once", name, len(v))
		case v[0] == "":
			return nil, badRequest("query", "%q has no value: give it one or leave it out", name)
		}
		values[name] = v[0]
	}
	return values, nil
}

func parseLimit(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > ban.MaxLimit {
		return 0, badRequest("query", "limit=%q: it must be a number from 1 to %d", v, ban.MaxLimit)
	}
	return n, nil
}

func parseBool(name, v string) (bool, error) {
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, badRequest("query", "%s=%q: it must be true or false", name, v)
	}
	return b, nil
}

func parseOrigin(v string) (ban.Origin, error) {
	if o := ban.Origin(v); slices.Contains(ban.Origins(), o) {
		return o, nil
	}
	return "", badRequest("query", "no origin %q: there are %q", v, ban.Origins())
}
