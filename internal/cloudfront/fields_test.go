package cloudfront

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const required = "timestamp,c-ip,sc-status,cs-method,cs-host,cs-uri-stem,x-edge-request-id,cs-protocol-version,cs-user-agent"

// The places of a few fields, counted from 1 as AWS's documentation does.
func TestFieldOrder(t *testing.T) {
	if NumFields != 71 {
		t.Errorf("%d fields, want 71", NumFields)
	}
	for f, want := range map[Field]string{
		1: "timestamp", 2: "c-ip", 3: "s-ip", 9: "cs-host", 10: "cs-uri-stem", 14: "x-host-header", 18: "cs-user-agent",
		34: "x-edge-detailed-result-type", 41: "cs-headers-count", 46: "asn", 47: "cmcd-encoded-bitrate", 64: "cmcd-version",
		65: "r-host", 69: "connection-id", 70: "viewer-request-log-data", 71: "viewer-response-log-data",
	} {
		if got := (f - 1).String(); got != want {
			t.Errorf("field %d is %s, want %s", f, got, want)
		}
	}
	for f, want := range map[Field]string{
		FieldTimestamp: "timestamp", FieldCIP: "c-ip", FieldCSHost: "cs-host", FieldXHostHeader: "x-host-header",
		FieldCSUserAgent: "cs-user-agent", FieldXForwardedFor: "x-forwarded-for", FieldCPort: "c-port", FieldASN: "asn",
		FieldCSHeaderNames: "cs-header-names", FieldCMCDVersion: "cmcd-version", FieldXEdgeMQCS: "x-edge-mqcs",
		FieldViewerResponseLogData: "viewer-response-log-data",
	} {
		if f.String() != want {
			t.Errorf("field %d is %s, want %s", f, f, want)
		}
	}
	seen := map[string]bool{}
	for f := range Field(NumFields) {
		name := f.String()
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-") != "" || seen[name] {
			t.Errorf("field %d has the name %q", f, name)
		}
		seen[name] = true
	}
	if got := Field(NumFields).String(); got != "unknown field" {
		t.Errorf("the field after the last is %q", got)
	}
}

func TestParseFields(t *testing.T) {
	all, err := ParseFields(" all\n")
	if err != nil || len(all) != NumFields || !slices.IsSorted(all) {
		t.Errorf("all: %v %v", all, err)
	}
	want := []Field{
		FieldTimestamp, FieldCIP, FieldSCStatus, FieldCSMethod, FieldCSHost, FieldCSURIStem,
		FieldXEdgeRequestID, FieldCSProtocolVersion, FieldCSUserAgent,
	}
	for _, list := range []string{
		required,
		strings.ReplaceAll(required, ",", " "),
		"\n" + strings.ReplaceAll(required, ",", " ,\t\n") + ",,\n",
		"cs-user-agent," + strings.TrimSuffix(required, ",cs-user-agent"),
	} {
		if got, err := ParseFields(list); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v %v", list, got, err)
		}
	}
}

func TestParseFieldsErrors(t *testing.T) {
	for _, c := range []struct{ list, want string }{
		{"", `required log field "timestamp" is missing
required log field "c-ip" is missing
required log field "sc-status" is missing
required log field "cs-method" is missing
required log field "cs-host" is missing
required log field "cs-uri-stem" is missing
required log field "x-edge-request-id" is missing
required log field "cs-protocol-version" is missing
required log field "cs-user-agent" is missing`},
		{required + ",asn,asn,asn,c-ip", `log field "c-ip" is given more than once
log field "asn" is given more than once`},
		{required + ",cs(User-Agent),C-IP,status", `unknown log field "cs(User-Agent)" (nearest: cs-user-agent)
unknown log field "C-IP" (nearest: c-ip)
unknown log field "status" (nearest: sc-status)`},
		{required + ",all", `"all" stands alone or not at all`},
		{strings.Replace(required, "sc-status", "sc_status,asn,asn", 1), `unknown log field "sc_status" (nearest: sc-status)
log field "asn" is given more than once
required log field "sc-status" is missing`},
	} {
		if fields, err := ParseFields(c.list); err == nil || err.Error() != c.want {
			t.Errorf("%q: got %v, %v, want\n%s", c.list, fields, err, c.want)
		}
	}
}

// Whatever is chosen besides the required fields, in whatever order, comes back sorted.
func TestParseFieldsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := strings.Split(required, ",")
		for _, name := range fieldNames {
			if !slices.Contains(names, name) && rapid.Bool().Draw(t, name) {
				names = append(names, name)
			}
		}
		names = rapid.Permutation(names).Draw(t, "order")
		separator := rapid.SampledFrom([]string{",", ", ", " ", "\n", ",\r\n"}).Draw(t, "separator")
		fields, err := ParseFields(strings.Join(names, separator))
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, name := range fieldNames {
			if slices.Contains(names, name) {
				want = append(want, name)
			}
		}
		var got []string
		for _, f := range fields {
			got = append(got, f.String())
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"abc", "abc", 0},
		{"abc", "abd", 1},
		{"abc", "ac", 1},
		{"ac", "abc", 1},
		{"kitten", "sitting", 3},
		{"ab", "ba", 2},
	} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("%q, %q: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// Either a list is read, and then it makes a format, or every part of it that is
// wrong is named.
func FuzzParseFields(f *testing.F) {
	f.Add("all")
	f.Add(required)
	f.Add(required + ",asn asn nonsense")
	f.Add("")
	f.Fuzz(func(t *testing.T, list string) {
		fields, err := ParseFields(list)
		if err != nil {
			if fields != nil {
				t.Errorf("%q: fields beside an error", list)
			}
			return
		}
		format, err := NewFormat(fields)
		if err != nil {
			t.Fatalf("%q: %v", list, err)
		}
		if !slices.Equal(format.Fields(), fields) {
			t.Errorf("%q: fields %v became %v", list, fields, format.Fields())
		}
		for _, f := range fields {
			if !strings.Contains(list, f.String()) && strings.TrimSpace(list) != "all" && !strings.Contains(list, "all") {
				t.Errorf("%q: %v is not in it", list, f)
			}
		}
	})
}
