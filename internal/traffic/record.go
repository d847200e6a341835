package traffic

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// request is one viewer request as its actor describes it. Path, query, user
// agent and referer are what the client sent over the wire; the log's own
// escaping is put on when the line is written.
type request struct {
	at          time.Time
	addr        netip.Addr
	method      string
	host        string
	path, query string
	agent       string
	referer     string
	forwarded   string
	status      int
	bytes       int
	took        time.Duration
	contentType string
	protocol    string
	headers     []string // names, in the order sent
	country     string
	asn         int
	hit         bool // answered from the cache: no origin
	blocked     bool // answered by the web ACL: no origin either
	id          uint64
}

// column writes one field of a request.
type column func(b []byte, r *request) []byte

// columns is every field that a made record fills. What is not here is "-":
// the fields that CloudFront leaves empty for ordinary traffic.
var columns = map[string]column{
	"timestamp": func(b []byte, r *request) []byte {
		return strconv.AppendFloat(b, float64(r.at.UnixMilli())/1000, 'f', 3, 64)
	},
	"c-ip":               func(b []byte, r *request) []byte { return r.addr.AppendTo(b) },
	"time-to-first-byte": func(b []byte, r *request) []byte { return appendSeconds(b, r.took*9/10) },
	"sc-status":          func(b []byte, r *request) []byte { return fmt.Appendf(b, "%03d", r.status) },
	"sc-bytes":           func(b []byte, r *request) []byte { return strconv.AppendInt(b, int64(r.bytes), 10) },
	"cs-method":          func(b []byte, r *request) []byte { return append(b, r.method...) },
	"cs-protocol":        func(b []byte, _ *request) []byte { return append(b, "https"...) },
	"cs-host":            func(b []byte, r *request) []byte { return appendEscaped(b, r.host) },
	"cs-uri-stem": func(b []byte, r *request) []byte {
		b = appendEscaped(b, r.path)
		if r.query != "" {
			b = append(b, '?')
			b = appendEscaped(b, r.query)
		}
		return b
	},
	"cs-bytes": func(b []byte, r *request) []byte {
		return strconv.AppendInt(b, int64(180+len(r.path)+len(r.query)+len(r.agent)), 10)
	},
	"x-edge-location":     func(b []byte, _ *request) []byte { return append(b, "FRA60-P10"...) },
	"x-edge-request-id":   appendRequestID,
	"x-host-header":       func(b []byte, _ *request) []byte { return append(b, "d111111abcdef8.cloudfront.net"...) },
	"time-taken":          func(b []byte, r *request) []byte { return appendSeconds(b, r.took) },
	"cs-protocol-version": func(b []byte, r *request) []byte { return append(b, r.protocol...) },
	"c-ip-version": func(b []byte, r *request) []byte {
		if r.addr.Is4() {
			return append(b, "IPv4"...)
		}
		return append(b, "IPv6"...)
	},
	"cs-user-agent":               func(b []byte, r *request) []byte { return appendEscaped(b, r.agent) },
	"cs-referer":                  func(b []byte, r *request) []byte { return appendEscaped(b, r.referer) },
	"cs-uri-query":                func(b []byte, r *request) []byte { return appendEscaped(b, r.query) },
	"x-edge-response-result-type": func(b []byte, r *request) []byte { return append(b, r.result()...) },
	"x-forwarded-for":             func(b []byte, r *request) []byte { return appendEscaped(b, r.forwarded) },
	"ssl-protocol":                func(b []byte, _ *request) []byte { return append(b, "TLSv1.3"...) },
	"ssl-cipher":                  func(b []byte, _ *request) []byte { return append(b, "TLS_AES_128_GCM_SHA256"...) },
	"x-edge-result-type":          func(b []byte, r *request) []byte { return append(b, r.result()...) },
	"sc-content-type":             func(b []byte, r *request) []byte { return appendEscaped(b, r.contentType) },
	"sc-content-len":              func(b []byte, r *request) []byte { return strconv.AppendInt(b, int64(max(0, r.bytes-320)), 10) },
	"c-port":                      func(b []byte, r *request) []byte { return strconv.AppendUint(b, 1024+r.id%64000, 10) },
	"x-edge-detailed-result-type": func(b []byte, r *request) []byte { return append(b, r.result()...) },
	"c-country":                   func(b []byte, r *request) []byte { return append(b, r.country...) },
	"cs-accept-encoding":          func(b []byte, _ *request) []byte { return appendEscaped(b, "gzip, deflate, br") },
	"cs-accept":                   func(b []byte, _ *request) []byte { return append(b, "*/*"...) },
	"cache-behavior-path-pattern": func(b []byte, _ *request) []byte { return append(b, '*') },
	"cs-header-names": func(b []byte, r *request) []byte {
		for _, name := range r.headers {
			b = append(append(b, name...), "%0A"...)
		}
		return b
	},
	"cs-headers-count": func(b []byte, r *request) []byte { return strconv.AppendInt(b, int64(len(r.headers)), 10) },
	"origin-fbl":       appendOriginLatency,
	"origin-lbl":       appendOriginLatency,
	"asn":              func(b []byte, r *request) []byte { return strconv.AppendInt(b, int64(r.asn), 10) },
}

// result is the edge's result type for the request.
func (r *request) result() string {
	switch {
	case r.blocked || r.status >= 400:
		return "Error"
	case r.hit:
		return "Hit"
	default:
		return "Miss"
	}
}

// appendLine writes the request as one record with the given columns, without
// a newline. An empty column is logged as "-".
func appendLine(b []byte, cols []column, r *request) []byte {
	for i, col := range cols {
		if i > 0 {
			b = append(b, '\t')
		}
		start := len(b)
		if col != nil {
			b = col(b, r)
		}
		if len(b) == start {
			b = append(b, '-')
		}
	}
	return b
}

// layout looks up the columns of a field list.
func layout(fields []string) []column {
	cols := make([]column, len(fields))
	for i, name := range fields {
		cols[i] = columns[name]
	}
	return cols
}

func appendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, d.Seconds(), 'f', 3, 64)
}

func appendOriginLatency(b []byte, r *request) []byte {
	if r.hit || r.blocked {
		return b
	}
	return appendSeconds(b, r.took*8/10)
}

// appendRequestID writes 54 characters of base64url and "==", as
// x-edge-request-id has it. The number makes it unique, the rest is noise that
// only has to look the part.
func appendRequestID(b []byte, r *request) []byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	noise := rand.NewPCG(r.id, 0x77656972)
	for i := range 54 {
		v := noise.Uint64()
		if i < 11 {
			v = r.id >> (6 * i)
		}
		b = append(b, alphabet[v&63])
	}
	return append(b, "=="...)
}

// appendEscaped writes s as CloudFront logs it: control bytes, bytes above
// ASCII and a list of punctuation become %XX, the percent sign included.
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 127 || strings.IndexByte("<>\"#%{}|\\^~[]`'", c) >= 0 {
			b = append(b, '%', hex[c>>4], hex[c&15])
			continue
		}
		b = append(b, c)
	}
	return b
}
