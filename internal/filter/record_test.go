package filter

import (
	"strings"

	"weir/internal/cloudfront"
)

// A hit is the columns of a record that matter here, as logged. "" is a column
// without a value, and stands as "-".
type hit struct {
	stem, query, agent, referer, status, method, version, host, address, asn, country string
}

type fataler interface{ Fatalf(string, ...any) }

var testFields = []cloudfront.Field{
	cloudfront.FieldTimestamp, cloudfront.FieldCIP, cloudfront.FieldSCStatus, cloudfront.FieldCSMethod, cloudfront.FieldCSHost,
	cloudfront.FieldCSURIStem, cloudfront.FieldXEdgeRequestID, cloudfront.FieldCSProtocolVersion, cloudfront.FieldCSUserAgent,
	cloudfront.FieldCSReferer, cloudfront.FieldXEdgeResultType, cloudfront.FieldCCountry, cloudfront.FieldASN,
}

func (h hit) record(t fataler) *cloudfront.Record {
	fields := testFields
	format, err := cloudfront.NewFormat(fields)
	if err != nil {
		t.Fatalf("%v", err)
	}
	stem := h.stem
	if h.query != "" {
		stem += "?" + h.query
	}
	values := map[cloudfront.Field]string{
		cloudfront.FieldTimestamp: "1761995045.123", cloudfront.FieldCIP: orElse(h.address, "192.0.2.7"),
		cloudfront.FieldSCStatus: orElse(h.status, "200"), cloudfront.FieldCSMethod: orElse(h.method, "GET"),
		cloudfront.FieldCSHost: h.host, cloudfront.FieldCSURIStem: stem, cloudfront.FieldXEdgeRequestID: "id",
		cloudfront.FieldCSProtocolVersion: orElse(h.version, "HTTP/2.0"), cloudfront.FieldCSUserAgent: h.agent,
		cloudfront.FieldCSReferer: h.referer, cloudfront.FieldXEdgeResultType: "Miss",
		cloudfront.FieldCCountry: h.country, cloudfront.FieldASN: h.asn,
	}
	columns := make([]string, len(format.Fields()))
	for i, f := range format.Fields() {
		columns[i] = orElse(values[f], "-")
	}
	r := new(cloudfront.Record)
	if err := format.Parse(r, []byte(strings.Join(columns, "\t"))); err != nil {
		t.Fatalf("%q: %v", columns, err)
	}
	return r
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// indexes are the numbers in a set.
func indexes(set []uint64, _ int, _ bool) (list []uint16) {
	for i := range uint16(64 * len(set)) {
		if set[i>>6]>>(i&63)&1 != 0 {
			list = append(list, i)
		}
	}
	return list
}
