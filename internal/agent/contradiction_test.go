package agent

import (
	"testing"

	"weir/internal/seeded"
)

const (
	firefoxAgent   = "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"
	safariAgent    = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15"
	oldSafariAgent = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.6 Safari/605.1.15"
	oldFoxAgent    = "Mozilla/5.0 (Windows NT 6.1; rv:78.0) Gecko/20100101 Firefox/78.0"
	explorerAgent  = "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko"
	webViewAgent   = "Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/140.0.0.0 Mobile Safari/537.36"
)

func contradicts(t *testing.T, q request, without ...string) Contradiction {
	t.Helper()
	r := q.record(t, without...)
	return New(Config{}).NewReader(seeded.New().Hasher()).Read(r).Contradicts(r)
}

// TestBrowsersDoNotContradict: what browsers send, each in its own way.
func TestBrowsersDoNotContradict(t *testing.T) {
	for name, q := range map[string]request{
		"Chrome, page":             {},
		"Chrome, fetch":            {"cs-accept": "*/*", "sc-content-type": "text/html", "cs-header-names": "host sec-ch-ua-platform user-agent sec-ch-ua sec-ch-ua-mobile accept sec-fetch-site sec-fetch-mode sec-fetch-dest referer accept-encoding accept-language cookie priority"},
		"Chrome, HTTP/1.1":         {"cs-protocol-version": "HTTP/1.1", "cs-header-names": "Host Connection sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform Upgrade-Insecure-Requests User-Agent Accept Sec-Fetch-Site Sec-Fetch-Mode Sec-Fetch-User Sec-Fetch-Dest Accept-Encoding Accept-Language"},
		"Chrome, no TLS":           {"cs-protocol": "http", "cs-protocol-version": "HTTP/1.1", "ssl-protocol": "", "ssl-cipher": "", "cs-accept-encoding": "gzip, deflate", "cs-header-names": "Host Connection Upgrade-Insecure-Requests User-Agent Accept Accept-Encoding Accept-Language"},
		"Chrome, preflight":        {"cs-method": "OPTIONS", "cs-accept": "*/*", "cs-header-names": "host accept access-control-request-method access-control-request-headers origin user-agent"},
		"Chrome, WebSocket":        {"cs-protocol": "wss", "cs-protocol-version": "HTTP/1.1", "cs-accept": "", "cs-header-names": "Host Connection Pragma Cache-Control User-Agent Upgrade Origin Sec-WebSocket-Version Accept-Encoding Accept-Language Sec-WebSocket-Key Sec-WebSocket-Extensions"},
		"Chrome, film":             {"sc-status": "206", "cs-accept": "*/*", "cs-accept-encoding": "identity;q=1, *;q=0", "cs-header-names": "host user-agent accept-encoding accept range"},
		"Chrome, download":         {"cs-accept": "", "cs-accept-encoding": "identity", "cs-protocol-version": "HTTP/1.1", "cs-header-names": "User-Agent Accept-Encoding Host Connection"},
		"Chrome, report":           {"cs-method": "POST", "cs-accept": "", "cs-header-names": "host content-length content-type user-agent accept-encoding accept-language"},
		"Chrome, antivirus":        {"cs-accept-encoding": "gzip, deflate", "cs-protocol-version": "HTTP/1.1"},
		"Chrome, proxy":            {"cs-protocol-version": "HTTP/1.1", "cs-accept-encoding": "gzip", "cs-header-names": "User-Agent Accept Accept-Encoding Accept-Language Host Via X-Forwarded-For Connection"},
		"Chrome, old proxy":        {"cs-protocol": "http", "ssl-protocol": "", "cs-protocol-version": "HTTP/1.0", "cs-header-names": "Host User-Agent Accept Accept-Encoding Accept-Language Via Connection"},
		"Firefox, page":            {"cs-user-agent": firefoxAgent, "cs-header-names": "host user-agent accept accept-language accept-encoding referer cookie upgrade-insecure-requests sec-fetch-dest sec-fetch-mode sec-fetch-site priority te"},
		"Firefox as Chrome":        {"cs-header-names": "host user-agent accept accept-language accept-encoding upgrade-insecure-requests sec-fetch-dest sec-fetch-mode sec-fetch-site te"},
		"Firefox 78":               {"cs-user-agent": oldFoxAgent, "cs-header-names": "host user-agent accept accept-language accept-encoding upgrade-insecure-requests te"},
		"Safari, page":             {"cs-user-agent": safariAgent, "cs-accept-encoding": "gzip, deflate, br", "cs-header-names": "host sec-fetch-dest user-agent accept sec-fetch-site sec-fetch-mode accept-language priority accept-encoding cookie"},
		"Safari 15":                {"cs-user-agent": oldSafariAgent, "cs-accept-encoding": "gzip, deflate, br", "cs-header-names": "host accept user-agent accept-language accept-encoding"},
		"Explorer":                 {"cs-user-agent": explorerAgent, "cs-protocol-version": "HTTP/1.1", "ssl-protocol": "TLSv1.2", "cs-accept-encoding": "gzip, deflate", "cs-header-names": "Accept Accept-Language User-Agent Accept-Encoding Host Connection"},
		"Explorer, old TLS":        {"cs-user-agent": explorerAgent, "cs-protocol-version": "HTTP/1.1", "ssl-protocol": "TLSv1", "cs-header-names": "Accept Accept-Language User-Agent Accept-Encoding Host Connection"},
		"web view":                 {"cs-user-agent": webViewAgent, "cs-header-names": "host user-agent accept"},
		"app":                      {"cs-user-agent": "ShopApp/5.8 (Android 14) okhttp/4.12.0", "cs-header-names": "host user-agent accept-encoding"},
		"library":                  {"cs-user-agent": "curl/8.5.0", "cs-header-names": "host user-agent accept"},
		"crawler":                  {"cs-user-agent": "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.7339.80 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "cs-header-names": "host user-agent accept-encoding accept"},
		"unknown bot":              {"cs-user-agent": "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Foo/1.0; +https://foo.example/) Chrome/120.0 Safari/537.36", "cs-header-names": "host user-agent"},
		"no user agent":            {"cs-user-agent": "", "cs-header-names": "host accept"},
		"names may have been cut":  {"cs-header-names": "host user-agent x-" + long(820)},
		"names are not all logged": {"cs-header-names": "host user-agent accept x-" + long(790)},
	} {
		if found := contradicts(t, q); found != 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
	if found := contradicts(t, request{"cs-header-names": "host user-agent", "cs-accept": "", "cs-accept-encoding": ""}, "cs-header-names"); found != 0 {
		t.Errorf("names that are not logged: %v", found)
	}
}

func long(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'x'
	}
	return string(b)
}

// TestBorrowedAgents: what libraries send under a browser's name.
func TestBorrowedAgents(t *testing.T) {
	for name, c := range map[string]struct {
		q    request
		want Contradiction
	}{
		"curl":     {request{"cs-accept": "*/*", "cs-accept-encoding": "", "cs-header-names": "host user-agent accept"}, NoFetchMetadata | NoNegotiation | LibraryOrder | AnyPage},
		"requests": {request{"cs-protocol-version": "HTTP/1.1", "cs-accept": "*/*", "cs-accept-encoding": "gzip, deflate", "cs-header-names": "Host User-Agent Accept-Encoding Accept Connection"}, NoFetchMetadata | LibraryOrder | AnyPage},
		"requests, made up": {
			request{"cs-protocol-version": "HTTP/1.1", "cs-header-names": "Host User-Agent Accept-Encoding Accept Connection Accept-Language Cookie"},
			NoFetchMetadata | LibraryOrder,
		},
		"Go":              {request{"cs-protocol-version": "HTTP/1.1", "cs-accept": "", "cs-accept-encoding": "gzip", "cs-header-names": "Host User-Agent Accept-Encoding"}, NoFetchMetadata | NoAccept | WrongEncoding | LibraryOrder},
		"axios":           {request{"cs-protocol-version": "HTTP/1.1", "cs-accept": "application/json, text/plain, */*", "cs-accept-encoding": "gzip, compress, deflate, br", "cs-header-names": "Accept User-Agent Accept-Encoding Host Connection"}, NoFetchMetadata | WrongEncoding | LibraryOrder},
		"Node's fetch":    {request{"cs-protocol-version": "HTTP/1.1", "cs-accept": "*/*", "cs-header-names": "host connection accept accept-language sec-gpc user-agent accept-encoding"}, NoFetchMetadata | WrongCase | AnyPage},
		"curl, forwarded": {request{"cs-accept": "*/*", "cs-accept-encoding": "", "cs-header-names": "host user-agent accept x-forwarded-for"}, NoNegotiation | LibraryOrder},
		"no headers":      {request{"cs-accept": "", "cs-accept-encoding": "", "cs-header-names": ""}, NoFetchMetadata | NoNegotiation | NoAccept},
		"old, bare":       {request{"cs-user-agent": oldFoxAgent, "cs-accept": "", "cs-accept-encoding": "", "cs-header-names": "host user-agent"}, NoNegotiation | NoAccept | LibraryOrder},
		"HTTP/1.0":        {request{"cs-protocol-version": "HTTP/1.0", "cs-header-names": chromeNames}, OldProtocol},
		"TLS 1.1":         {request{"ssl-protocol": "TLSv1.1"}, OldProtocol},
		"Firefox, naked":  {request{"cs-user-agent": firefoxAgent, "cs-header-names": "host user-agent accept accept-language accept-encoding"}, NoFetchMetadata},
		"Safari, naked":   {request{"cs-user-agent": safariAgent, "cs-header-names": "host user-agent accept accept-language accept-encoding"}, NoFetchMetadata},
		"no TLS, curl":    {request{"cs-protocol": "http", "ssl-protocol": "", "cs-protocol-version": "HTTP/1.1", "cs-accept": "*/*", "cs-accept-encoding": "", "cs-header-names": "Host User-Agent Accept"}, NoNegotiation | LibraryOrder},
	} {
		if found := contradicts(t, c.q); found != c.want {
			t.Errorf("%s: %v, want %v", name, found, c.want)
		}
	}
}

func FuzzReadHeaders(f *testing.F) {
	hasher := seeded.New().Hasher()
	f.Add([]byte(headerNames(chromeNames)))
	f.Add([]byte("%0A%0A%"))
	f.Add([]byte("Host%0Auser-agent%0aaccept"))
	f.Fuzz(func(t *testing.T, column []byte) {
		h, scratch := ReadHeaders(column, hasher, nil)
		if again, _ := ReadHeaders(column, hasher, scratch); again != h {
			t.Errorf("%v, then %v", h, again)
		}
		if h.Set&NamesKnown == 0 || len(column) >= namesCut && h.Set&Complete != 0 {
			t.Errorf("%b for %d bytes", h.Set, len(column))
		}
	})
}
