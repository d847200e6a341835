package cloudfront

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseRejects(t *testing.T) {
	format := mustFormat(t, "all")
	with := func(f Field, value string) string {
		columns := goodColumns(format)
		columns[format.columns[f]] = value
		return strings.Join(columns, "\t")
	}
	good := strings.Join(goodColumns(format), "\t")
	long := with(FieldCSUserAgent, strings.Repeat("a", MaxLine-len(with(FieldCSUserAgent, ""))))

	for _, c := range []struct {
		name, line string
		want       error
	}{
		{"empty", "", RejectColumns},
		{"no tab", strings.ReplaceAll(good, "\t", " "), RejectColumns},
		{"column missing", strings.Replace(good, "\t", "", 1), RejectColumns},
		{"column too many", good + "\tx", RejectColumns},
		{"two tabs at the end", good + "\t\t", RejectColumns},
		{"only tabs", strings.Repeat("\t", NumFields-1), RejectTime},
		{"only tabs, one more", strings.Repeat("\t", NumFields), RejectTime},
		{"tabs without end", strings.Repeat("\t", MaxLine), RejectColumns},
		{"too long", long + "a", RejectLength},
		{"too long and too many columns", long + "\ta", RejectLength},

		{"NUL in a text", with(FieldCSUserAgent, "a\x00b"), RejectControl},
		{"NUL in the time", with(FieldTimestamp, "1791187500\x00123"), RejectControl},
		{"NUL instead of a tab", strings.Replace(good, "\t", "\x00", 1), RejectColumns},
		{"NUL and a column too many", good + "\t\x00", RejectColumns},

		{"time missing", with(FieldTimestamp, "-"), RejectTime},
		{"time is a date", with(FieldTimestamp, "2026-10-05"), RejectTime},
		{"time in milliseconds", with(FieldTimestamp, "1791187500123"), RejectTime},
		{"time is a port", with(FieldTimestamp, "40122"), RejectTime},
		{"time is negative", with(FieldTimestamp, "-1791187500.123"), RejectTime},
		{"time with an exponent", with(FieldTimestamp, "1.791187500e9"), RejectTime},
		{"time ends in a dot", with(FieldTimestamp, "1791187500."), RejectTime},
		{"time with two dots", with(FieldTimestamp, "1791187500.1.2"), RejectTime},
		{"time 1999", with(FieldTimestamp, "946684799.999"), RejectTime},
		{"time 2100", with(FieldTimestamp, "4102444800.000"), RejectTime},
		{"time and address", strings.Replace(with(FieldTimestamp, "x"), "203.0.113.9", "x", 1), RejectTime},

		{"client missing", with(FieldCIP, "-"), RejectClient},
		{"client is a name", with(FieldCIP, "localhost"), RejectClient},
		{"client with a port", with(FieldCIP, "203.0.113.9:80"), RejectClient},
		{"client with a zone", with(FieldCIP, "fe80::1%25eth0"), RejectClient},
		{"client in brackets", with(FieldCIP, "[2001:db8::1]"), RejectClient},
		{"client is a prefix", with(FieldCIP, "203.0.113.0/24"), RejectClient},

		{"status missing", with(FieldSCStatus, "-"), RejectStatus},
		{"status of two digits", with(FieldSCStatus, "20"), RejectStatus},
		{"status of four digits", with(FieldSCStatus, "2000"), RejectStatus},
		{"status with a letter", with(FieldSCStatus, "20x"), RejectStatus},
		{"status with a sign", with(FieldSCStatus, "+20"), RejectStatus},

		{"protocol missing", with(FieldCSProtocolVersion, "-"), RejectProtocol},
		{"protocol in lower case", with(FieldCSProtocolVersion, "http/1.1"), RejectProtocol},
		{"protocol without version", with(FieldCSProtocolVersion, "HTTP/"), RejectProtocol},
		{"protocol is a method", with(FieldCSProtocolVersion, "GET"), RejectProtocol},

		{"good", good, nil},
		{"as long as can be", long, nil},
		{"one empty column too many", good + "\t", nil},
		{"last column empty", good[:strings.LastIndexByte(good, '\t')+1], nil},
		{"raw spaces", with(FieldCSUserAgent, "Mozilla/5.0 (compatible; MSIE 5.0)"), nil},
		{"raw UTF-8", with(FieldCSUserAgent, "Bär ☃ \xff\xfe"), nil},
		{"raw control bytes but NUL", with(FieldCSUserAgent, "\x01\r\n\x1b[31m\x1f\x7f"), nil},
		{"unknown result type", with(FieldXEdgeResultType, "Whatever"), nil},
		{"time without decimals", with(FieldTimestamp, "1791187500"), nil},
		{"time with many decimals", with(FieldTimestamp, "1791187500.123456789"), nil},
		{"status 000", with(FieldSCStatus, "000"), nil},
		{"HTTP/3", with(FieldCSProtocolVersion, "HTTP/3.0"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Record
			if err := format.Parse(&r, []byte(c.line)); err != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
			checkTwin(t, format, []byte(c.line))
		})
	}
}

func TestParseTwin(t *testing.T) {
	for name, format := range formats(t) {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			checkTwin(t, format, drawLine(t, format))
		}))
	}
}

// TestParsePlaces puts a byte of every kind at every place of a line, so that each
// position within a block of the splitter, and each neighbour, is met.
func TestParsePlaces(t *testing.T) {
	format := formats(t)["required"]
	columns := goodColumns(format)
	columns[format.columns[FieldCSUserAgent]] = strings.Repeat("a", 150)
	good := []byte(strings.Join(columns, "\t"))
	for cut := range 70 {
		for at := range good {
			for _, b := range []byte{'\t', 0, 1, 0x1f, ' ', '~', 0x7f, 0x80, 0xa0, 0xff} {
				line := bytes.Clone(good[:len(good)-cut])
				if at >= len(line) {
					continue
				}
				line[at] = b
				checkTwin(t, format, line)
				if at > 0 {
					line = append(line[:0], good[:len(good)-cut]...)
					line[at-1], line[at] = 0xff, b
					checkTwin(t, format, line)
				}
			}
		}
	}
}

// A field list in any order gives the same format.
func TestNewFormatSorts(t *testing.T) {
	want := mustFormat(t, "all")
	rapid.Check(t, func(t *rapid.T) {
		shuffled := rapid.Permutation(want.Fields()).Draw(t, "fields")
		got, err := NewFormat(shuffled)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got.Fields()) != fmt.Sprint(want.Fields()) || got.columns != want.columns {
			t.Fatalf("%v: got %v", shuffled, got.Fields())
		}
	})
}

func TestNewFormatErrors(t *testing.T) {
	_, err := NewFormat([]Field{FieldTimestamp, FieldTimestamp, FieldTimestamp, FieldCIP, Field(NumFields)})
	want := `log field "timestamp" is given more than once
log field number 71 is out of range 0 to 70
required log field "sc-status" is missing
required log field "cs-method" is missing
required log field "cs-host" is missing
required log field "cs-uri-stem" is missing
required log field "x-edge-request-id" is missing
required log field "cs-protocol-version" is missing
required log field "cs-user-agent" is missing`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Fields hands out a copy: a format is shared and must not change.
func TestFormatFieldsCopy(t *testing.T) {
	format := mustFormat(t, "all")
	format.Fields()[0] = FieldASN
	if format.Fields()[0] != FieldTimestamp {
		t.Error("the format changed through its field list")
	}
}

func TestRejectReasons(t *testing.T) {
	var words []string
	for i, reason := range RejectReasons() {
		if int(reason) != i {
			t.Errorf("reason %d has number %d", i, reason)
		}
		var err error = reason
		if target, ok := errors.AsType[RejectReason](err); !ok || target != reason {
			t.Errorf("%v is lost as an error", reason)
		}
		if !strings.HasSuffix(err.Error(), reason.String()) {
			t.Errorf("error %q does not name %q", err, reason.String())
		}
		words = append(words, reason.String())
	}
	if got := strings.Join(words, " "); got != "columns time client status protocol control length" {
		t.Errorf("reasons: %s", got)
	}
	if got := RejectReason(200).String(); got != "unknown" {
		t.Errorf("reason 200 is %q", got)
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	lines := madeLines(t, 200)
	lines.lines = append(lines.lines, []byte("garbage"), bytes.Repeat([]byte{'\t'}, 100), make([]byte, MaxLine+1))
	var r Record
	var dst []byte
	allocs := testing.AllocsPerRun(10, func() {
		for _, line := range lines.lines {
			err := lines.format.Parse(&r, line)
			for f := range Field(NumFields) {
				dst = Unescape(dst[:0], r.Raw(f))
			}
			dst = Decode(dst[:0], r.Path(), false)
			dst = Decode(dst[:0], r.Query(), true)
			if err == nil && (!hasCookie(r.Raw(FieldCSHeaderNames)) || !r.Client().IsValid()) {
				t.Fatal("not what was logged")
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

func FuzzParse(f *testing.F) {
	all := formats(f)
	for _, format := range all {
		good := strings.Join(goodColumns(format), "\t")
		f.Add([]byte(good))
		f.Add([]byte(good + "\t"))
		f.Add([]byte(strings.Replace(good, "\t", "\x00", 1)))
		f.Add([]byte(strings.Replace(good, "203.0.113.9", "2001:0db8:85a3::8a2e:0370:7334", 1)))
	}
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, format := range all {
			checkTwin(t, format, bytes.Clone(line))
		}
	})
}
