package filter

import (
	"slices"

	"github.com/expr-lang/expr/ast"
)

// An env is the world of a filter.
type env struct {
	Evt  *event          `expr:"evt"`
	Weir map[string]bool `expr:"weir"`
}

// Keys that CrowdSec's parsers of other logs set, and this log cannot: they are "".
var (
	emptyMeta = []string{
		"sub_type", "auth_status", "username", "user", "target_user", "source_user", "target_fqdn", "http_referer", "http_host",
		"ASNOrg", "IsInEU", "SourceRange", "IsoCode", "ASNNumber",
		"machine", "datasource_path", "datasource_type", "traefik_router_name", "message", "program",
		"cve", "target_technology", // of SetMeta: of another scenario's filter
	}
	emptyParsed = []string{
		"http_path", "remote_user", "server", "port", "target_port", "http_host", "body_bytes_sent", "bytes",
		"request_length", "request_time", "proxy_upstream_name", "proxy_alternative_upstream_name",
		"message", "program", "pid", "logsource", "timestamp", "time_local", "auth", "ident", "clientip", "rawrequest",
		"source_ip", "cause", "loglevel", "username",
	}
	emptyEnriched = []string{
		"ASNOrg", "IsInEU", "SourceRange", "IsoCode", "ASNNumber", "ASNumber", "Latitude", "Longitude", "reverse_dns",
	}
)

// eventKeys are the keys that each map of evt may be asked for.
var eventKeys = func() map[string][]string {
	q := request{stem: "/a.b", query: "c", agent: "-", referer: "-", address: "-", status: "-", method: "-", version: "HTTP/1", host: "-"}
	q.logged = map[string]string{"cs_uri_stem": "-", "cs_uri_query": "-"}
	for key := range loggedFields {
		q.logged[key] = "-"
	}
	e := q.event()
	keys := func(known map[string]string, empty []string) []string {
		return slices.Compact(slices.Sorted(slices.Values(append(sortedKeys(known), empty...))))
	}
	return map[string][]string{
		"Meta": keys(e.Meta, emptyMeta), "Parsed": keys(e.Parsed, emptyParsed), "Enriched": keys(e.Enriched, emptyEnriched),
	}
}()

var eventFields = []string{"Enriched", "GetMeta", "MarshaledTime", "Meta", "Parsed", "SetMeta", "StrTime", "Time"}

// recordWorld is what the filters of a Set may speak of.
func recordWorld(facts []string) *world {
	w := &world{env: env{}, facts: make(map[string]bool, len(facts))}
	for _, name := range facts {
		w.facts[name] = true
	}
	w.check = w.checkMember
	return w
}

func (w *world) checkMember(c *checkNames, n *ast.MemberNode) {
	name, ok := property(n)
	switch base := n.Node.(type) {
	case *ast.IdentifierNode:
		switch base.Value {
		case "evt":
			switch {
			case !ok:
				c.fail(n, "a field of evt has to be written out")
			case !slices.Contains(eventFields, name):
				c.fail(n, "unknown field evt.%.64s (nearest: evt.%s)", name, nearest(name, eventFields))
			case name == "SetMeta":
				c.x.setMeta = true
			}
		case "weir":
			if full := "weir." + name; !ok || !w.facts[full] {
				c.fail(n, "unknown field %.64s (nearest: %s)", full, nearest(full, sortedKeys(w.facts)))
			}
		}
	case *ast.MemberNode:
		in, outer := eventMap(base)
		if !outer {
			return
		}
		if keys := eventKeys[in]; keys != nil && ok && !slices.Contains(keys, name) {
			c.fail(n, "unknown field evt.%s.%.64s (nearest: evt.%s.%s)", in, name, in, nearest(name, keys))
		}
	}
}

// eventMap returns the field when a node is a field of evt.
func eventMap(n *ast.MemberNode) (string, bool) {
	id, ok := n.Node.(*ast.IdentifierNode)
	if !ok || id.Value != "evt" {
		return "", false
	}
	return property(n)
}
