package scenario

import (
	"bytes"
	"strings"

	"weir/internal/cloudfront"
)

// answer returns what the answer says. It says nothing when the request never got
// past the edge: what a firewall, a country block or a quota answers is no evidence
// against the client, least of all when it is our own ban.
func (s *Set) answer(r *cloudfront.Record) facts {
	if r.Status == 0 || s.isOurBlock(r) || r.Status >= 400 && isRefusedByEdge(r) {
		return 0
	}
	f := wasServed
	switch r.Status {
	case 400, 404:
		f |= wasMissing
	case 401:
		f |= wasDenied
	case 403:
		f |= wasMissing | wasDenied
	case 206, 304:
		f |= wasPartial
	}
	switch r.Status / 100 {
	case 2:
		f |= wasOK
	case 3:
		f |= wasRedirected
	case 4:
		f |= wasRefused
	}
	contentType := r.Raw(cloudfront.FieldSCContentType)
	if hasPrefix(contentType, "text/html") {
		f |= wasHTML
	} else if bytes.Contains(contentType, []byte("json")) {
		f |= wasJSON
	}
	if result := r.Raw(cloudfront.FieldXEdgeResultType); result != nil && !hasSuffix(result, "Hit") {
		f |= wasFetched
	}
	return f
}

// isOurBlock recognises the WAF's answer to those whom we had blocked.
func (s *Set) isOurBlock(r *cloudfront.Record) bool {
	return s.blockStatus != 0 && r.Status == s.blockStatus &&
		r.Raw(cloudfront.FieldOriginFBL) == nil && isErrorOrUnknown(r, cloudfront.FieldXEdgeResultType)
}

// isRefusedByEdge recognises the refusals that the site had no part in. A WAF's
// block has no mark of its own, so it is known by its shape: 403, an error in every
// respect, a page, and no origin that was asked. S3's 403 for a missing file is
// XML, and it counts.
func isRefusedByEdge(r *cloudfront.Record) bool {
	detail := r.Raw(cloudfront.FieldXEdgeDetailedResultType)
	switch string(detail) {
	case "ClientGeoBlocked", "LambdaLimitExceeded", "FunctionThrottledError":
		return true
	}
	if hasPrefix(detail, "InvalidRequest") {
		return true
	}
	for _, field := range [...]cloudfront.Field{cloudfront.FieldXEdgeResultType, cloudfront.FieldXEdgeResponseResultType} {
		switch string(r.Raw(field)) {
		case "LimitExceeded", "CapacityExceeded", "FunctionThrottledError":
			return true
		}
	}
	return r.Status == 403 &&
		r.Has(cloudfront.FieldOriginFBL) && r.Raw(cloudfront.FieldOriginFBL) == nil &&
		isErrorOrUnknown(r, cloudfront.FieldXEdgeResultType) &&
		isErrorOrUnknown(r, cloudfront.FieldXEdgeResponseResultType) &&
		isErrorOrUnknown(r, cloudfront.FieldXEdgeDetailedResultType) &&
		hasPrefix(r.Raw(cloudfront.FieldSCContentType), "text/html")
}

func isErrorOrUnknown(r *cloudfront.Record, f cloudfront.Field) bool {
	value := r.Raw(f)
	return value == nil || string(value) == "Error"
}

func method(r *cloudfront.Record) facts {
	switch string(r.Raw(cloudfront.FieldCSMethod)) {
	case "POST":
		return isPost
	case "GET", "HEAD":
		return isRead
	}
	return 0
}

// linked says whether the client came from a page of the same host.
func linked(r *cloudfront.Record) facts {
	_, from, ok := bytes.Cut(r.Raw(cloudfront.FieldCSReferer), []byte("://"))
	host := r.Raw(cloudfront.FieldCSHost)
	if !ok || len(host) == 0 || len(from) < len(host) || !bytes.EqualFold(from[:len(host)], host) {
		return 0
	}
	if rest := from[len(host):]; len(rest) > 0 && rest[0] != '/' {
		return 0
	}
	return isLinked
}

// jetpack says whether a request is a call of WordPress's XML-RPC of the kind that
// its hosting service makes all day: signed, with the parameters that hold the
// signature. Anybody can add them, so the service's network has to fit, too, where
// it is logged.
func jetpack(r *cloudfront.Record, path, query []byte) facts {
	const automattic = "2635"
	if !hasSuffix(path, "/xmlrpc.php") {
		return 0
	}
	if asn := r.Raw(cloudfront.FieldASN); len(asn) > 0 && string(asn) != automattic {
		return 0
	}
	found := 0
	for part := range bytes.SplitSeq(query, []byte{'&'}) {
		if string(part) == "for=jetpack" || hasPrefix(part, "token=") || hasPrefix(part, "signature=") {
			found++
		}
	}
	if found < 3 {
		return 0
	}
	return isJetpack
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

func hasSuffix(b []byte, suffix string) bool {
	return len(b) >= len(suffix) && strings.EqualFold(string(b[len(b)-len(suffix):]), suffix)
}
