package agent

import (
	"bytes"

	"weir/internal/cloudfront"
)

// Contradiction is what in a request no browser of the claimed kind does, as a set. Each
// is evidence that the user agent is not the client's own.
//
// It is not proof of an attack. Programs of good will borrow a browser's user agent too:
// scanners of links in mail, antivirus software that looks at a page before its user does,
// apps. They ask for a page once and do not guess.
type Contradiction uint8

const (
	NoFetchMetadata Contradiction = 1 << iota // a modern browser over HTTPS, without Sec-Fetch-* and Sec-CH-UA
	NoNegotiation                             // neither Accept-Language nor Accept-Encoding
	NoAccept                                  // no Accept
	LibraryOrder                              // the headers of a library, in its order, or a Host that is not the first
	WrongCase                                 // names in lower case over HTTP/1
	WrongEncoding                             // an Accept-Encoding that no browser sends
	OldProtocol                               // HTTP/1.0 over TLS, or a TLS that the browser has given up
	AnyPage                                   // a page is asked for with "Accept: */*", as a script does
)

// Contradicts returns what in a record contradicts the claim that it comes from a browser.
// h must be what [ReadHeaders] made of its cs-header-names.
//
// It says nothing about claims other than a browser's, of web views, of engines that go
// their own way; nothing of what is not logged, or may have been cut; nothing of requests
// that ask for a range or upgrade to a WebSocket, of CORS preflights, downloads and reports
// about the network, since browsers send those with fewer headers. Of requests that seem to have passed a proxy it says only
// what no proxy does: these add, reorder and take away fetch metadata, but not all by which
// a browser says what it would like to have.
func Contradicts(c Claim, h Headers, r *cloudfront.Record) (found Contradiction) {
	if c.Kind&Browser == 0 {
		return 0
	}
	tls := r.Raw(cloudfront.FieldSSLProtocol)
	http := r.Raw(cloudfront.FieldCSProtocolVersion)
	if isOld(c, h, tls, http) {
		found |= OldProtocol
	}
	if isBeyondDoubt(h) || isSpare(h, r) {
		return found
	}
	modern := c.Modern() && h.Set&HasProxy == 0
	encoding := r.Raw(cloudfront.FieldCSAcceptEncoding)
	switch {
	case h.Set&HasAcceptLanguage == 0 && h.Set&HasAcceptEncoding == 0:
		found |= NoNegotiation
	case modern && !isBrowsers(encoding) && h.Set&HasAcceptEncoding != 0:
		found |= WrongEncoding
	}
	if h.Set&HasAccept == 0 {
		found |= NoAccept
	}
	if h.Set&ToolOrder != 0 {
		found |= LibraryOrder
	}
	if !modern {
		return found
	}
	if tls != nil {
		found |= NoFetchMetadata
		if isPage(r) && string(r.Raw(cloudfront.FieldCSAccept)) == "*/*" {
			found |= AnyPage
		}
	}
	if h.Set&Swapped != 0 {
		found |= LibraryOrder
	}
	if string(http) == "HTTP/1.1" {
		if h.Set&HostLater != 0 {
			found |= LibraryOrder
		}
		if h.Set&LowerCase != 0 {
			found |= WrongCase
		}
	}
	return found
}

// isOld reports whether a browser speaks a protocol that it has given up, or never had.
func isOld(c Claim, h Headers, tls, http []byte) bool {
	return h.Set&HasProxy == 0 &&
		(hasGivenUp(c, tls) || tls != nil && (string(http) == "HTTP/1.0" || string(http) == "HTTP/0.9"))
}

// isBeyondDoubt reports whether headers cannot be held against a browser: those that may
// be cut, and those of requests that come with fewer. Whoever sends fetch metadata or
// client hints is a browser, or takes pains.
func isBeyondDoubt(h Headers) bool {
	return h.Set&Complete == 0 || h.Set&(HasFetchMetadata|HasClientHints|HasRange|HasUpgrade) != 0
}

// isSpare reports whether a request is of a kind that browsers send with fewer headers.
func isSpare(h Headers, r *cloudfront.Record) bool {
	switch string(r.Raw(cloudfront.FieldCSProtocol)) {
	case "ws", "wss", "grpcs":
		return true
	}
	switch string(r.Raw(cloudfront.FieldCSMethod)) {
	case "OPTIONS":
		return true
	case "POST": // Chrome's reports on the network (NEL) come without Accept and Sec-Fetch-*
		const languages = HasAcceptLanguage | HasAcceptEncoding
		if h.Set&(HasAccept|languages) == languages {
			return true
		}
	}
	// A phone's download manager, and players, take the bytes as they are.
	return r.Status == 206 || r.Raw(cloudfront.FieldSCRangeStart) != nil ||
		bytes.HasPrefix(r.Raw(cloudfront.FieldCSAcceptEncoding), []byte("identity"))
}

// hasGivenUp reports whether a browser of that version no longer speaks a TLS so old.
func hasGivenUp(c Claim, tls []byte) bool {
	switch string(tls) {
	case "SSLv2", "SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1":
	default:
		return false
	}
	switch c.Product {
	case Chrome, Edge, Firefox: // policies could bring it back until here
		return c.Version >= 98
	case Safari:
		return c.Version >= 18
	default:
		return false
	}
}

// isBrowsers reports whether an Accept-Encoding, as logged, is one that a browser may
// send. Proxies and antivirus software cut it down, but to what they know: so only
// "gzip" alone, as Go says it, and codings that no browser has are told apart.
func isBrowsers(encoding []byte) bool {
	switch string(encoding) {
	case "":
		return true // not logged
	case "gzip", "*":
		return false
	}
	return !bytes.Contains(encoding, []byte("compress")) && !bytes.Contains(encoding, []byte("x-gzip"))
}

// isPage reports whether a page was asked for and given.
func isPage(r *cloudfront.Record) bool {
	return string(r.Raw(cloudfront.FieldCSMethod)) == "GET" && r.Status >= 200 && r.Status < 300 &&
		bytes.HasPrefix(r.Raw(cloudfront.FieldSCContentType), []byte("text/html"))
}
