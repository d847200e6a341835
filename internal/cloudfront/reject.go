package cloudfront

// RejectReason says why a line is not a record. It is the only error that
// Format.Parse returns: it costs nothing to make, and it never quotes the line,
// which is mostly written by the client.
//
// Reasons are numbered from 0 without gaps, so that a slice of
// len(RejectReasons()) counters can be indexed by one.
type RejectReason uint8

const (
	// RejectColumns: the line does not have as many columns as the format wants, so
	// nothing in it can be trusted to be what its place says.
	RejectColumns RejectReason = iota
	// RejectTime: timestamp is not in epoch seconds, or date and time are not a moment, of
	// the years 2000 to 2099.
	RejectTime
	// RejectClient: c-ip is not an address.
	RejectClient
	// RejectStatus: sc-status is not three digits.
	RejectStatus
	// RejectProtocol: cs-protocol-version does not begin with "HTTP/".
	RejectProtocol
	// RejectControl: the line holds a raw NUL, which CloudFront would have escaped.
	RejectControl
	// RejectLength: the line is longer than MaxLine.
	RejectLength
)

var rejectNames = [...]string{
	RejectColumns:  "columns",
	RejectTime:     "time",
	RejectClient:   "client",
	RejectStatus:   "status",
	RejectProtocol: "protocol",
	RejectControl:  "control",
	RejectLength:   "length",
}

// RejectReasons returns every reason there is.
func RejectReasons() []RejectReason {
	reasons := make([]RejectReason, len(rejectNames))
	for i := range reasons {
		reasons[i] = RejectReason(i)
	}
	return reasons
}

// String returns the reason in one word, such as "columns".
func (r RejectReason) String() string {
	if int(r) >= len(rejectNames) {
		return "unknown"
	}
	return rejectNames[r]
}

// Error implements error.
func (r RejectReason) Error() string { return "line rejected: " + r.String() }
