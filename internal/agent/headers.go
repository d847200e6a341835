package agent

import (
	"bytes"

	"weir/internal/cloudfront"
	"weir/internal/seeded"
)

// HeaderSet is which headers a request had, and how they were written.
type HeaderSet uint32

const (
	HasAccept HeaderSet = 1 << iota
	HasAcceptEncoding
	HasAcceptLanguage
	HasAuthorization
	HasConnection
	HasCookie
	HasFetchMetadata // Sec-Fetch-Site, -Mode, -Dest: browsers since 2021 to 2023, over HTTPS
	HasClientHints   // Sec-CH-UA: Chrome and its kin
	HasHost
	HasRange
	HasReferer
	HasUserAgent
	HasUpgrade // to a WebSocket
	HasProxy   // a proxy added its own: the rest may be the proxy's too, or be gone
	HasKey     // to an API, or the signature of a service that reports something

	LowerCase  // User-Agent, Accept or Host is written in lower case, as HTTP/2 does
	HostLater  // Host is not the first
	ToolOrder  // the list is just what a well-known library sends of itself
	Swapped    // User-Agent, Accept-Encoding, Accept follow each other, as Python's requests does it
	Complete   // the column holds all names: what is not in it was not sent
	NamesKnown // names are logged at all
)

// Headers is what the names of a request's headers say.
type Headers struct {
	Set  HeaderSet
	hash uint64 // of the names that do not change from request to request, in order and case
}

// The share of a list of names that is read. CloudFront logs 800 bytes of it.
const (
	namesRead     = 1200 // bytes as logged
	mostNamesRead = 64
	namesCut      = 790 // bytes: a longer list may have been cut
	mostSequenced = 64  // bytes of a sequence that a library could have
)

// ReadHeaders reads a cs-header-names column. nil is a request without headers. hasher
// makes the fingerprint; scratch is overwritten and returned, to be given again.
func ReadHeaders(column []byte, hasher *seeded.Hasher, scratch []byte) (Headers, []byte) {
	h := Headers{Set: NamesKnown}
	if len(column) == 0 || len(column) < namesCut && bytes.HasSuffix(column, []byte("%0A")) {
		h.Set |= Complete
	}
	column = column[:min(len(column), namesRead)]
	stable := scratch[:0]
	var sequence [mostSequenced]byte // of the stable names, by a letter each
	length := 0
	count := 0
	for entry := range cloudfront.HeaderEntries(column) {
		if count++; count > mostNamesRead {
			h.Set &^= Complete
			break
		}
		var lowered [len("access-control-request-headers")]byte
		name := lowered[:min(len(entry), len(lowered))]
		upper := false
		for i := range name {
			c := entry[i]
			if 'A' <= c && c <= 'Z' {
				c |= 'a' - 'A'
				upper = true
			}
			name[i] = c
		}
		k := known(name)
		h.Set |= k.set
		if k.set&(HasHost|HasUserAgent|HasAccept) != 0 && !upper {
			h.Set |= LowerCase
		}
		if k.set == HasHost && count > 1 {
			h.Set |= HostLater
		}
		if k.varies {
			continue
		}
		stable = append(append(stable, entry...), '\n')
		if length < len(sequence) {
			sequence[length] = k.letter
			length++
		}
	}
	if isTools(sequence[:length]) {
		h.Set |= ToolOrder
	}
	if bytes.Contains(sequence[:length], []byte("uea")) {
		h.Set |= Swapped
	}
	h.hash = hasher.Bytes(stable)
	return h, stable
}

// A knownName is what is to be known of a header.
type knownName struct {
	set    HeaderSet
	letter byte // in sequences; '?' = any other
	varies bool // from request to request of the same software
}

// known looks a name up, in lower case and cut.
func known(name []byte) knownName {
	switch string(name) {
	case "host":
		return knownName{set: HasHost, letter: 'h'}
	case "user-agent":
		return knownName{set: HasUserAgent, letter: 'u'}
	case "accept":
		return knownName{set: HasAccept, letter: 'a'}
	case "accept-encoding":
		return knownName{set: HasAcceptEncoding, letter: 'e'}
	case "accept-language":
		return knownName{set: HasAcceptLanguage, letter: 'l'}
	case "connection":
		return knownName{set: HasConnection, letter: 'c'}
	case "sec-ch-ua":
		return knownName{set: HasClientHints, letter: '?'}
	case "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest":
		return knownName{set: HasFetchMetadata, letter: '?'}
	case "via", "forwarded", "x-forwarded-for", "x-bluecoat-via", "x-proxyuser-ip", "x-proxy-id", "proxy-connection", "x-imforwards", "x-forwarded-proto", "x-real-ip":
		return knownName{set: HasProxy, varies: true}
	case "authorization":
		return knownName{set: HasAuthorization, varies: true}
	case "cookie":
		return knownName{set: HasCookie, varies: true}
	case "referer":
		return knownName{set: HasReferer, varies: true}
	case "range":
		return knownName{set: HasRange, varies: true}
	case "sec-websocket-key":
		return knownName{set: HasUpgrade, varies: true}
	case "x-api-key", "x-apikey", "x-auth-token", "x-access-token", "x-amz-security-token", "x-goog-api-key", "x-functions-key", "x-rapidapi-key", "x-shopify-access-token", "x-vault-token", "x-figma-token", "x-auth-key",
		"x-hub-signature", "x-hub-signature-256", "x-shopify-hmac-sha256", "x-twilio-signature", "x-slack-signature", "x-signature", "x-webhook-signature", "x-gitlab-token":
		return knownName{set: HasKey, varies: true}
	case "api-key", "apikey", "private-token", "ocp-apim-subscription-key", "stripe-signature", "paypal-transmission-sig", "svix-signature", "webhook-signature":
		return knownName{set: HasKey, letter: '?'}
	case "content-length", "content-type", "content-encoding", "transfer-encoding", "expect", "origin",
		"cache-control", "pragma", "upgrade", "upgrade-insecure-requests", "sec-fetch-user", "purpose", "sec-purpose", "priority":
		return knownName{varies: true}
	}
	for _, start := range [...]string{"x-", "if-", "cloudfront-", "access-control-request-", "sec-websocket-"} {
		if len(name) > len(start) && string(name[:len(start)]) == start {
			return knownName{varies: true}
		}
	}
	return knownName{letter: '?'}
}

// isTools reports whether a sequence of stable names is all that a library sends unless it
// is told to send more. All of them lack Accept-Language, which every browser sends.
func isTools(sequence []byte) bool {
	switch string(sequence) {
	case "hu", "uh", "hua", "huac", "huc", // curl, Guzzle, Go without gzip
		"hue", "huec", "heu", "ehu", // Go
		"hueac", "huea", "huaec", "huae", "hauec", // Python's requests, wget
		"haeu", "haecu", "haue", // aiohttp, httpx
		"hceu", "uhce", "hcue", // okhttp
		"ehuc", "euhc", "auehc", "aeuhc", "auech", "uaehc", // urllib, axios and Node
		"uhac", "uhca", "chu", // Java
		"?chu", "??chu", "c?hu": // libwww-perl
		return true
	}
	return false
}

// Signs is what a client shows of having been here before, or of being a browser. Unlike
// the user agent it is rarely thought of by those who lie.
type Signs uint8

const (
	SignCookie Signs = 1 << iota
	SignAuthorization
	SignReferer
	SignFetchMetadata
	SignAcceptLanguage
	SignKey
	SignsKnown // it is logged what could tell; without it, a missing sign means nothing
)

// SignsOf returns the signs in a record whose headers were read.
//
// Where the names of headers are not logged, the columns of cookie and referer must do;
// where these are missing too, nothing is known. Of names that may have been cut, only
// what is there counts as known.
func SignsOf(h Headers, r *cloudfront.Record) Signs {
	return signsIn(h).with(h, r, r.Raw(cloudfront.FieldCSCookie), r.Raw(cloudfront.FieldCSReferer))
}

// signsIn returns the signs in headers.
func signsIn(h Headers) (s Signs) {
	if h.Set&HasCookie != 0 {
		s |= SignCookie
	}
	if h.Set&HasAuthorization != 0 {
		s |= SignAuthorization
	}
	if h.Set&HasReferer != 0 {
		s |= SignReferer
	}
	if h.Set&HasFetchMetadata != 0 {
		s |= SignFetchMetadata
	}
	if h.Set&HasAcceptLanguage != 0 {
		s |= SignAcceptLanguage
	}
	if h.Set&HasKey != 0 {
		s |= SignKey
	}
	return s
}

// with adds to the signs in headers those in columns.
func (s Signs) with(h Headers, r *cloudfront.Record, cookie, referer []byte) Signs {
	if cookie != nil {
		s |= SignCookie
	}
	if referer != nil {
		s |= SignReferer
	}
	if h.Set&Complete != 0 || s != 0 || h.Set&NamesKnown == 0 && r.Has(cloudfront.FieldCSReferer) {
		s |= SignsKnown
	}
	return s
}
