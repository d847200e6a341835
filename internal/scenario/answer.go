package scenario

import (
	"bytes"
	"slices"
	"strings"

	"weir/internal/cloudfront"
)

// answer returns what the answer says. It says nothing when the request never got
// past the edge: what a firewall, a country block or a quota answers is no evidence
// against the client, least of all when it is our own ban.
func (s *Set) answer(r *cloudfront.Record) uint64 {
	if s.isOurBlock(r) {
		return wasBlocked
	}
	// The edge itself sends http to https: the site had no part in it.
	result := r.Raw(cloudfront.FieldXEdgeResultType)
	if r.Status == 0 || r.Status >= 400 && isRefusedByEdge(r) || string(result) == "Redirect" {
		return 0
	}
	f := wasServed
	switch r.Status {
	case 400, 404, 410:
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
		if r.Status != 304 {
			f |= wasRedirected
		}
	case 4:
		f |= wasRefused
	case 5:
		f |= wasFailing
	}
	contentType := r.Raw(cloudfront.FieldSCContentType)
	if hasPrefix(contentType, "text/html") {
		f |= wasHTML
	} else if hasPrefix(contentType, "application/") && bytes.Contains(contentType, []byte("json")) {
		f |= wasJSON
	}
	const hit = "Hit" // and RefreshHit, OriginShieldHit
	if result != nil && (len(result) < len(hit) || string(result[len(result)-len(hit):]) != hit) {
		f |= wasFetched
	}
	if f&(wasOK|wasHTML) == wasOK|wasHTML && string(result) == "Error" && isErrorPage(r) {
		f |= wasSoftMissing
	}
	return f
}

// isErrorPage reports whether a 2xx with the result Error is the page that the
// distribution gives in place of an error. Where the client went away, the result
// is Error, too, and the details say so.
func isErrorPage(r *cloudfront.Record) bool {
	if r.Has(cloudfront.FieldOriginFBL) && r.Raw(cloudfront.FieldOriginFBL) == nil {
		return false // a firewall's block gets such a page, too, and the origin is not asked
	}
	if response := r.Raw(cloudfront.FieldXEdgeResponseResultType); response != nil && string(response) != "Error" {
		return false
	}
	switch string(r.Raw(cloudfront.FieldXEdgeDetailedResultType)) {
	case "", "Error", "OriginError":
		return true
	}
	return false
}

// isOurBlock recognises the WAF's answer to those whom we had blocked.
func (s *Set) isOurBlock(r *cloudfront.Record) bool {
	return slices.Contains(s.blocks, r.Status) &&
		r.Raw(cloudfront.FieldOriginFBL) == nil && isErrorOrUnknown(r, cloudfront.FieldXEdgeResultType)
}

// isRefusedByEdge recognises the refusals that the site had no part in. A WAF's
// block has no mark of its own, so it is known by its shape: 403, or another status
// that its owner chose, an error in every respect, and no origin that was asked. Where
// it is a 404, one from the cache looks the same, so it has to come at once as well. Where it is not logged
// whether one was, the length of the WAF's own page has to do. S3's 403 for a missing
// file is XML, and it counts even when it comes from the cache.
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
	const wafPage = "919"
	contentType := r.Raw(cloudfront.FieldSCContentType)
	refused := r.Raw(cloudfront.FieldOriginFBL) == nil && !bytes.Contains(contentType, []byte("xml"))
	if !r.Has(cloudfront.FieldOriginFBL) {
		refused = string(r.Raw(cloudfront.FieldSCContentLen)) == wafPage && hasPrefix(contentType, "text/html")
	}
	if r.Status == 400 || r.Status == 404 || r.Status == 410 {
		refused = refused && atOnce(r)
	}
	return refused &&
		isErrorOrUnknown(r, cloudfront.FieldXEdgeResultType) &&
		isErrorOrUnknown(r, cloudfront.FieldXEdgeResponseResultType) &&
		isErrorOrUnknown(r, cloudfront.FieldXEdgeDetailedResultType)
}

// atOnce reports whether an answer took less than 5 ms.
func atOnce(r *cloudfront.Record) bool {
	const limit = 5 // thousandths of a second
	raw := r.Raw(cloudfront.FieldTimeTaken)
	return raw != nil && thousandths(raw) < limit
}

func isErrorOrUnknown(r *cloudfront.Record, f cloudfront.Field) bool {
	value := r.Raw(f)
	return value == nil || string(value) == "Error"
}

func method(r *cloudfront.Record) uint64 {
	switch string(r.Raw(cloudfront.FieldCSMethod)) {
	case "POST", "PUT", "PATCH":
		return isPost
	case "GET":
		return isRead
	case "HEAD":
		return isRead | isHead
	}
	return oddMethod(r.Raw(cloudfront.FieldCSMethod))
}

// oddMethod tells methods for which nobody has a use who uses a site from those of WebDAV
// and its kin, which office programs and file managers try on any server. CloudFront
// refuses both.
func oddMethod(method []byte) uint64 {
	var upper [16]byte
	if len(method) == 0 || len(method) > len(upper) {
		return 0
	}
	for i, c := range method {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A' // a clumsy program's "get" is no other method
		}
		upper[i] = c
	}
	switch string(upper[:len(method)]) {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PRI", "PURGE", "LINK", "UNLINK", "SOURCE",
		"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "ACL", "MKCALENDAR", "BIND", "UNBIND", "REBIND",
		"CHECKIN", "CHECKOUT", "UNCHECKOUT", "MERGE", "MKACTIVITY", "MKWORKSPACE", "UPDATE", "LABEL", "ORDERPATCH", "VERSION-CONTROL", "BASELINE-CONTROL",
		"SUBSCRIBE", "UNSUBSCRIBE", "NOTIFY", "POLL", "M-SEARCH":
		return 0
	}
	return isOddMethod
}

// origin says whether the client came from a page of the same host or of another.
func origin(referer, host []byte) uint64 {
	if referer == nil {
		return 0
	}
	scheme := len("https://")
	if !hasPrefix(referer, "https://") {
		if scheme = len("http://"); !hasPrefix(referer, "http://") {
			return isExternal // an app's, or nonsense
		}
	}
	from := referer[scheme:]
	if len(host) == 0 {
		return 0
	}
	if len(from) >= len(host) && (len(from) == len(host) || from[len(host)] == '/') &&
		(bytes.Equal(from[:len(host)], host) || bytes.EqualFold(from[:len(host)], host)) {
		return isLinked
	}
	return isExternal
}

// fetchSite is origin for what comes without a referer, which a page may forbid: by what
// browsers add to their requests.
func fetchSite(headers []byte) uint64 {
	const name = "sec-fetch-site:"
	for {
		i := bytes.Index(headers, []byte("ite:"))
		if i < 0 {
			return 0
		}
		value := headers[i+len("ite:"):]
		if start := i + len("ite:") - len(name); start >= 0 && bytes.EqualFold(headers[start:start+len(name)], []byte(name)) {
			switch {
			case hasPrefix(value, "same-origin"):
				return isLinked
			case hasPrefix(value, "same-site"), hasPrefix(value, "cross-site"):
				return isExternal
			}
			return 0
		}
		headers = value
	}
}

// signIn tells attempts to sign in that failed from those that did not. Places where
// people sign in answer 401, 403 or 422, or show their form again; those for programs
// answer 400, too. WordPress answers 200 when a password is wrong, and redirects when
// it is right; its XML-RPC door answers 200 to everything. Interfaces of administrators
// take credentials anywhere; what their own pages post, and is refused, is no attempt.
// Neither is what a service reports to "/auth/webhook" with a secret that was changed.
func signIn(request, f uint64, status uint16) uint64 {
	if request&(isPost|pathAdmin|isLinked) == isPost|pathAdmin && f&wasServed != 0 && f&wasDenied != 0 {
		return wasLoginFailed
	}
	if request&isPost == 0 || f&wasServed == 0 || request&(pathLogin|pathToken|pathWPLogin|pathXMLRPC) == 0 || request&(isJetpack|pathHook) != 0 {
		return 0
	}
	switch {
	case status == 401, status == 403, status == 422, status == 400 && request&pathToken != 0,
		request&(pathWPLogin|pathXMLRPC) != 0 && f&wasOK != 0,
		request&(pathLoginForm|pathToken|pathAPI) == pathLoginForm && f&(wasOK|wasHTML) == wasOK|wasHTML:
		return wasLoginFailed
	case f&(wasOK|wasRedirected) != 0:
		return wasLoginOK
	}
	return 0
}

// jetpack says whether a request is a call of WordPress's XML-RPC of the kind that
// its hosting service makes all day: signed, with the parameters that hold the
// signature. Anybody can add them, so the service's network has to fit, too, where
// it is logged.
func jetpack(r *cloudfront.Record, path, query []byte) uint64 {
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

// cacheBuster recognises a query that is there only to miss the cache: one number,
// or one random word, without a name or under one that means nothing.
func cacheBuster(query []byte) uint64 {
	if len(query) == 0 || len(query) > 64 {
		return 0
	}
	name, value, ok := bytes.Cut(query, []byte{'='})
	if !ok {
		name, value = nil, query
	}
	if len(name) > 0 && !isMeaningless(name) || len(value) < 4 {
		return 0
	}
	digits, letters := 0, 0
	for _, c := range value {
		switch {
		case '0' <= c && c <= '9':
			digits++
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			letters++
		case c != '.' && c != '-' && c != '_':
			return 0
		}
	}
	if digits == 0 && (letters > 0 && len(name) == 0 && len(value) < 8) {
		return 0
	}
	return isCacheBuster
}

// authorQuery recognises the question by which names of users of WordPress are had.
func authorQuery(query []byte) uint64 {
	const author = "author="
	i := bytes.Index(query[:min(len(query), 256)], []byte(author))
	if i == 0 || i > 0 && query[i-1] == '&' {
		if number := i + len(author); number < len(query) && isDigit(query[number]) {
			return isAuthorQuery
		}
	}
	return 0
}

// isMeaningless reports whether the name of a parameter says nothing: one that tools
// and scripts give to what is only to be different, or a random one.
func isMeaningless(name []byte) bool {
	switch string(name) {
	case "_", "r", "rnd", "rand", "random", "t", "ts", "time", "timestamp", "cb", "cachebuster", "cachebust", "nocache", "bust", "v", "x", "z":
		return true
	}
	digits, upper, lower := 0, 0, 0
	for _, c := range name {
		switch {
		case '0' <= c && c <= '9':
			digits++
		case 'A' <= c && c <= 'Z':
			upper++
		case 'a' <= c && c <= 'z':
			lower++
		default:
			return false
		}
	}
	return len(name) >= 4 && (digits > 0 && upper+lower > 0 && digits*3 >= len(name) || upper > 1 && lower > 1 && digits > 0)
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

func hasSuffix(b []byte, suffix string) bool {
	return len(b) >= len(suffix) && strings.EqualFold(string(b[len(b)-len(suffix):]), suffix)
}
