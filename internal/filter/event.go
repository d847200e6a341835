package filter

import (
	"maps"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"weir/internal/cloudfront"
)

// An event is what expr sees as evt: the plain form of what the compiled filters work
// on, made only for those that could not be compiled and to explain. It is filled as
// the hub's CloudFront parser, with all the fields that it should set, and its parser
// http-logs would.
type event struct {
	Meta     map[string]string
	Parsed   map[string]string
	Enriched map[string]string

	Time          time.Time
	StrTime       string
	MarshaledTime string
}

// SetMeta is CrowdSec's: it sets a key for the rest of the expression and is true.
func (e *event) SetMeta(key, value string) bool {
	e.Meta[key] = value
	return true
}

// GetMeta returns the value of a key, "" when there is none.
func (e *event) GetMeta(key string) string { return e.Meta[key] }

// A request is what the fields of an event are made of.
type request struct {
	at                               time.Time
	stem, query                      string // wire form
	agent, referer                   string // wire form; "-" when the viewer sent none, "" when not logged
	address, status, method, version string // as logged
	host                             string // the viewer's
	asn, country                     string // "" when unknown
	logged                           map[string]string
}

// requestOf copies what matters out of a record.
func requestOf(r *cloudfront.Record) request {
	q := request{
		at:      time.UnixMilli(r.Time).UTC(),
		stem:    pathUnescape(string(r.Path())),
		query:   pathUnescape(string(r.Query())),
		agent:   pathUnescape(logged(r, cloudfront.FieldCSUserAgent)),
		referer: pathUnescape(logged(r, cloudfront.FieldCSReferer)),
		address: logged(r, cloudfront.FieldCIP),
		status:  logged(r, cloudfront.FieldSCStatus),
		method:  logged(r, cloudfront.FieldCSMethod),
		version: logged(r, cloudfront.FieldCSProtocolVersion),
		host:    logged(r, cloudfront.FieldCSHost),
		asn:     string(r.Raw(cloudfront.FieldASN)),
		country: string(r.Raw(cloudfront.FieldCCountry)),
		logged:  make(map[string]string, len(loggedFields)+8),
	}
	for key, field := range loggedFields {
		q.logged[key] = logged(r, field)
	}
	q.logged["cs_uri_stem"] = string(r.Path())
	q.logged["cs_uri_query"] = "-"
	if query := r.Query(); len(query) > 0 {
		q.logged["cs_uri_query"] = string(query)
	}
	return q
}

// logged returns a column as it was logged: "-" when it has no value, and "" when it
// is not in the format.
func logged(r *cloudfront.Record, f cloudfront.Field) string {
	if raw := r.Raw(f); raw != nil || !r.Has(f) {
		return string(raw)
	}
	return "-"
}

// loggedFields are the keys of evt.Parsed that the parser takes from the log as they
// are. Its cs_host and x_host_header are the standard log's, whose meaning the
// real-time log swaps.
var loggedFields = map[string]cloudfront.Field{
	"c_ip": cloudfront.FieldCIP, "c_port": cloudfront.FieldCPort,
	"cs_bytes": cloudfront.FieldCSBytes, "cs_cookie": cloudfront.FieldCSCookie,
	"cs_host": cloudfront.FieldXHostHeader, "cs_method": cloudfront.FieldCSMethod,
	"cs_protocol": cloudfront.FieldCSProtocol, "cs_protocol_version": cloudfront.FieldCSProtocolVersion,
	"cs_referer": cloudfront.FieldCSReferer, "cs_user_agent": cloudfront.FieldCSUserAgent,
	"fle_encrypted_fields": cloudfront.FieldFLEEncryptedFields, "fle_status": cloudfront.FieldFLEStatus,
	"sc_bytes": cloudfront.FieldSCBytes, "sc_content_len": cloudfront.FieldSCContentLen,
	"sc_content_type": cloudfront.FieldSCContentType, "sc_range_end": cloudfront.FieldSCRangeEnd,
	"sc_range_start": cloudfront.FieldSCRangeStart, "sc_status": cloudfront.FieldSCStatus,
	"ssl_cipher": cloudfront.FieldSSLCipher, "ssl_protocol": cloudfront.FieldSSLProtocol,
	"time_taken": cloudfront.FieldTimeTaken, "time_to_first_byte": cloudfront.FieldTimeToFirstByte,
	"x_edge_detailed_result_type": cloudfront.FieldXEdgeDetailedResultType,
	"x_edge_location":             cloudfront.FieldXEdgeLocation,
	"x_edge_request_id":           cloudfront.FieldXEdgeRequestID,
	"x_edge_response_result_type": cloudfront.FieldXEdgeResponseResultType,
	"x_edge_result_type":          cloudfront.FieldXEdgeResultType,
	"x_forwarded_for":             cloudfront.FieldXForwardedFor,
	"x_host_header":               cloudfront.FieldCSHost,
}

// The patterns of http-logs, as grok writes them out.
var (
	splitQuery = regexp.MustCompile(`^(.*)\?(.*)$`)
	splitFile  = regexp.MustCompile(`(^.*/)(([^/].*?)(\.[^.]*$|$))?`)
)

// event fills an event as the two parsers do, one after the other.
func (q *request) event() *event {
	e := &event{
		Meta: make(map[string]string, 16), Parsed: make(map[string]string, len(q.logged)+24),
		Enriched: make(map[string]string, 4),
		Time:     q.at, StrTime: q.at.Format("2006-01-02T15:04:05Z"), MarshaledTime: q.at.Format(time.RFC3339Nano),
	}
	set := func(m map[string]string, key, value string) {
		if value != "" { // CrowdSec's statics skip what is empty
			m[key] = value
		}
	}
	maps.Copy(e.Parsed, q.logged)
	path := q.stem
	if q.query != "" {
		path += "?" + q.query
	}
	for key, layout := range map[string]string{"year": "2006", "month": "01", "day": "02", "time": "15:04:05"} {
		e.Parsed[key] = q.at.Format(layout)
	}
	set(e.Parsed, "verb", q.method)
	set(e.Parsed, "request", path)
	set(e.Parsed, "http_user_agent", q.agent)
	set(e.Parsed, "http_referer", q.referer)
	set(e.Parsed, "target_fqdn", q.host)
	set(e.Parsed, "status", q.status)
	set(e.Parsed, "remote_addr", q.address)
	if version, ok := strings.CutPrefix(q.version, "HTTP/"); ok {
		set(e.Parsed, "http_version", version)
	}
	e.Meta["service"], e.Meta["log_type"] = "http", "http_access-log"
	e.Meta["timestamp"] = e.MarshaledTime
	set(e.Meta, "source_ip", q.address)
	set(e.Meta, "http_status", q.status)
	set(e.Meta, "http_verb", q.method)
	set(e.Meta, "http_path", path)
	set(e.Meta, "http_user_agent", q.agent)
	for _, m := range []map[string]string{e.Meta, e.Enriched} {
		set(m, "ASNNumber", q.asn)
		set(m, "IsoCode", q.country)
	}
	set(e.Enriched, "ASNumber", q.asn)
	e.Enriched["MarshaledTime"] = e.MarshaledTime
	e.httpLogs()
	return e
}

// httpLogs is the parser http-logs.
func (e *event) httpLogs() {
	p := e.Parsed
	switch e.Meta["http_status"] {
	case "404", "403", "502":
		p["impact_completion"] = "false"
	default:
		p["impact_completion"] = "true"
	}
	p["static_ressource"] = "false"
	if m := splitQuery.FindStringSubmatch(p["request"]); m != nil {
		p["request"], p["http_args"] = m[1], m[2]
	}
	m := splitFile.FindStringSubmatch(p["request"])
	if m == nil {
		return
	}
	p["file_dir"], p["file_frag"], p["file_ext"] = m[1], m[3], m[4]
	e.Meta["http_args_len"] = strconv.Itoa(utf8.RuneCountInString(p["http_args"])) // expr counts characters
	if name := m[3] + m[4]; name != "" {
		p["file_name"] = name
	}
	if staticExtensions[strings.ToUpper(m[4])] {
		p["static_ressource"] = "true"
	}
}

var staticExtensions = map[string]bool{
	".JPG": true, ".CSS": true, ".JS": true, ".JPEG": true, ".PNG": true, ".SVG": true, ".MAP": true,
	".ICO": true, ".OTF": true, ".GIF": true, ".MP3": true, ".MP4": true, ".WOFF": true, ".WOFF2": true,
	".TTF": true, ".EOT": true, ".WEBP": true, ".WAV": true, ".GZ": true, ".BROTLI": true, ".BVR": true,
	".TS": true, ".BMP": true, ".AVIF": true, ".MJS": true,
}

// pathUnescape undoes %XX. A text with anything else after a '%' comes back as it is.
func pathUnescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

func queryUnescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// field returns the text of a field.
func (e *event) field(id fieldID) string {
	names := fieldNames[id]
	if len(names) == 0 {
		return ""
	}
	in, key, _ := strings.Cut(names[0], ".")
	switch in {
	case "Meta":
		return e.Meta[key]
	default:
		return e.Parsed[key]
	}
}
