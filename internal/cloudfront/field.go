package cloudfront

// Field names a column of CloudFront's real-time log. Its value is the column's
// place in AWS's fixed order, counted from 0: a record holds the configured
// fields in this order, whatever order they were configured in. What a standard log
// has under another name is the same Field.
type Field uint8

// The fields in AWS's order. A name is AWS's own, spelled the Go way: cs-uri-stem
// is FieldCSURIStem.
const (
	// FieldTimestamp is the moment the edge finished the response, in epoch
	// seconds with decimals. The request began FieldTimeTaken before it, which for
	// a WebSocket or a download can be hours.
	FieldTimestamp Field = iota
	// FieldCIP is the peer of the viewer's connection.
	FieldCIP
	FieldSIP // the edge server's address
	FieldTimeToFirstByte
	// FieldSCStatus is three digits; "000" when the viewer left before an answer.
	FieldSCStatus
	FieldSCBytes
	FieldCSMethod
	FieldCSProtocol // http, https, ws, wss, grpcs
	// FieldCSHost is the viewer's own Host header, in either format. The standard logs
	// call it x-host-header.
	FieldCSHost
	// FieldCSURIStem includes the query string, after a '?'. The standard logs'
	// field of the same name does not. Record.Path and Record.Query read either.
	FieldCSURIStem
	FieldCSBytes
	FieldXEdgeLocation
	// FieldXEdgeRequestID is unique to a request; a stream may deliver it twice.
	FieldXEdgeRequestID
	// FieldXHostHeader is the distribution's d….cloudfront.net name, in either format. The
	// standard logs call it cs(Host).
	FieldXHostHeader
	FieldTimeTaken         // seconds
	FieldCSProtocolVersion // HTTP/1.1, HTTP/2.0, ...
	FieldCIPVersion
	FieldCSUserAgent
	FieldCSReferer
	// FieldCSCookie is cut at 800 bytes and often "-" although a cookie was sent:
	// FieldCSHeaderNames tells.
	FieldCSCookie
	FieldCSURIQuery // repeats what follows the '?' of FieldCSURIStem
	FieldXEdgeResponseResultType
	// FieldXForwardedFor is the client's own claim: any text at all.
	FieldXForwardedFor
	FieldSSLProtocol
	FieldSSLCipher
	// FieldXEdgeResultType is an open set: values that are not documented occur.
	// "Error" with status 200 is a viewer that left, not a request that went wrong.
	FieldXEdgeResultType
	FieldFLEEncryptedFields
	FieldFLEStatus
	FieldSCContentType
	FieldSCContentLen
	FieldSCRangeStart
	FieldSCRangeEnd
	FieldCPort
	FieldXEdgeDetailedResultType
	FieldCCountry
	FieldCSAcceptEncoding
	FieldCSAccept
	FieldCacheBehaviorPathPattern
	// FieldCSHeaders holds "name:value" entries, each ended by "%0A" and the whole
	// cut at 800 bytes, even inside an escape: see HeaderEntries.
	FieldCSHeaders
	// FieldCSHeaderNames is framed and cut like FieldCSHeaders. The names keep the
	// viewer's order and, over HTTP/1.1, its case.
	FieldCSHeaderNames
	FieldCSHeadersCount // not cut: the true number of headers
	FieldPrimaryDistributionID
	FieldPrimaryDistributionDNSName
	// FieldOriginFBL is "-" when the origin was not asked: a hit, a block by the
	// WAF, a function's answer, a cached error.
	FieldOriginFBL
	FieldOriginLBL
	FieldASN
	FieldCMCDEncodedBitrate
	FieldCMCDBufferLength
	FieldCMCDBufferStarvation
	FieldCMCDContentID
	FieldCMCDObjectDuration
	FieldCMCDDeadline
	FieldCMCDMeasuredThroughput
	FieldCMCDNextObjectRequest
	FieldCMCDNextRangeRequest
	FieldCMCDObjectType
	FieldCMCDPlaybackRate
	FieldCMCDRequestedMaximumThroughput
	FieldCMCDStreamingFormat
	FieldCMCDSessionID
	FieldCMCDStreamType
	FieldCMCDStartup
	FieldCMCDTopBitrate
	FieldCMCDVersion
	FieldRHost    // the origin that was asked
	FieldSRReason // why another origin was asked: "Failover:403"
	FieldXEdgeMQCS
	FieldDistributionTenantID
	FieldConnectionID
	// FieldViewerRequestLogData is what a viewer-request function chose to log; the
	// way to get a JA4 fingerprint into a record.
	FieldViewerRequestLogData
	FieldViewerResponseLogData
)

// NumFields is how many fields a real-time log can have.
const NumFields = int(FieldViewerResponseLogData) + 1

// fieldNames are AWS's names, by Field.
var fieldNames = [NumFields]string{
	"timestamp",
	"c-ip",
	"s-ip",
	"time-to-first-byte",
	"sc-status",
	"sc-bytes",
	"cs-method",
	"cs-protocol",
	"cs-host",
	"cs-uri-stem",
	"cs-bytes",
	"x-edge-location",
	"x-edge-request-id",
	"x-host-header",
	"time-taken",
	"cs-protocol-version",
	"c-ip-version",
	"cs-user-agent",
	"cs-referer",
	"cs-cookie",
	"cs-uri-query",
	"x-edge-response-result-type",
	"x-forwarded-for",
	"ssl-protocol",
	"ssl-cipher",
	"x-edge-result-type",
	"fle-encrypted-fields",
	"fle-status",
	"sc-content-type",
	"sc-content-len",
	"sc-range-start",
	"sc-range-end",
	"c-port",
	"x-edge-detailed-result-type",
	"c-country",
	"cs-accept-encoding",
	"cs-accept",
	"cache-behavior-path-pattern",
	"cs-headers",
	"cs-header-names",
	"cs-headers-count",
	"primary-distribution-id",
	"primary-distribution-dns-name",
	"origin-fbl",
	"origin-lbl",
	"asn",
	"cmcd-encoded-bitrate",
	"cmcd-buffer-length",
	"cmcd-buffer-starvation",
	"cmcd-content-id",
	"cmcd-object-duration",
	"cmcd-deadline",
	"cmcd-measured-throughput",
	"cmcd-next-object-request",
	"cmcd-next-range-request",
	"cmcd-object-type",
	"cmcd-playback-rate",
	"cmcd-requested-maximum-throughput",
	"cmcd-streaming-format",
	"cmcd-session-id",
	"cmcd-stream-type",
	"cmcd-startup",
	"cmcd-top-bitrate",
	"cmcd-version",
	"r-host",
	"sr-reason",
	"x-edge-mqcs",
	"distribution-tenant-id",
	"connection-id",
	"viewer-request-log-data",
	"viewer-response-log-data",
}

// String returns AWS's name of the field, such as "cs-uri-stem".
func (f Field) String() string {
	if int(f) >= NumFields {
		return "unknown field"
	}
	return fieldNames[f]
}
