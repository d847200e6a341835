package filter

import (
	"strings"
	"testing"

	"weir/internal/cloudfront"
)

// A hit is the columns of a record that matter here, as logged. "" is a column
// without a value, and stands as "-".
type hit struct {
	stem, query, agent, referer, status, method, version, host, address, asn, country string
}

var testFields = []cloudfront.Field{
	cloudfront.FieldTimestamp, cloudfront.FieldCIP, cloudfront.FieldSCStatus, cloudfront.FieldCSMethod, cloudfront.FieldCSHost,
	cloudfront.FieldCSURIStem, cloudfront.FieldXEdgeRequestID, cloudfront.FieldCSProtocolVersion, cloudfront.FieldCSUserAgent,
	cloudfront.FieldCSReferer, cloudfront.FieldXEdgeResultType, cloudfront.FieldCCountry, cloudfront.FieldASN,
}

func (h hit) record(t testing.TB) *cloudfront.Record {
	t.Helper()
	fields := testFields
	format, err := cloudfront.NewFormat(fields)
	if err != nil {
		t.Fatal(err)
	}
	stem := h.stem
	if h.query != "" {
		stem += "?" + h.query
	}
	values := map[cloudfront.Field]string{
		cloudfront.FieldTimestamp: "1761995045.123", cloudfront.FieldCIP: or(h.address, "192.0.2.7"),
		cloudfront.FieldSCStatus: or(h.status, "200"), cloudfront.FieldCSMethod: or(h.method, "GET"),
		cloudfront.FieldCSHost: h.host, cloudfront.FieldCSURIStem: stem, cloudfront.FieldXEdgeRequestID: "id",
		cloudfront.FieldCSProtocolVersion: or(h.version, "HTTP/2.0"), cloudfront.FieldCSUserAgent: h.agent,
		cloudfront.FieldCSReferer: h.referer, cloudfront.FieldXEdgeResultType: "Miss",
		cloudfront.FieldCCountry: h.country, cloudfront.FieldASN: h.asn,
	}
	columns := make([]string, len(format.Fields()))
	for i, f := range format.Fields() {
		columns[i] = or(values[f], "-")
	}
	r := new(cloudfront.Record)
	if err := format.Parse(r, []byte(strings.Join(columns, "\t"))); err != nil {
		t.Fatalf("%q: %v", columns, err)
	}
	return r
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
