package cloudfront

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestSniff(t *testing.T) {
	for line, want := range map[string]Kind{
		"":                               KindUnknown,
		"garbage":                        KindUnknown,
		"a\tb":                           KindUnknown,
		"1791187500.123\t203.0.113.9":    KindRealTime,
		"1791187500\t203.0.113.9":        KindRealTime,
		"1791187500.123":                 KindUnknown,
		"2026-03-12\t15:00:02\tNRT57-P2": KindStandard,
		"2026-02-30\t15:00:02\tNRT57-P2": KindUnknown,
		"2026-03-12 15:00:02 NRT57-P2":   KindUnknown,
		"#Version: 1.0":                  KindStandard,
		"#":                              KindStandard,
		"\t":                             KindUnknown,
		strings.Repeat("1", 100) + "\t1": KindUnknown,
	} {
		if got := Sniff([]byte(line)); got != want {
			t.Errorf("%q: %d, want %d", line, got, want)
		}
	}
}

func TestHeader(t *testing.T) {
	for line, want := range map[string][]string{
		"#Version: 1.0":             nil,
		"# a comment":               nil,
		"#Fields: date time c-ip":   {"date", "time", "c-ip"},
		"#Fields:\tdate\ttime c-ip": {"date", "time", "c-ip"},
		"#Fields:date  time \r":     {"date", "time"},
		"#Fields:":                  {},
	} {
		if got, ok := Header([]byte(line)); !ok || !slices.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("%q: %q, %v", line, got, ok)
		}
	}
	for _, line := range []string{"", "date time", " #Fields: date"} {
		if got, ok := Header([]byte(line)); ok || got != nil {
			t.Errorf("%q is a header: %q", line, got)
		}
	}
}

// Files of every kind, one after the other and some of them joined.
func TestSniffer(t *testing.T) {
	realTime := mustFormat(t, required)
	rt := strings.Join(goodColumns(realTime), "\t")
	line := func(names []string) string { return strings.Join(goodStandardColumns(names), "\t") }
	swapped := slices.Clone(StandardColumns(24))
	swapped[0], swapped[4] = swapped[4], swapped[0]

	const reset, header, reject = 0, -1, -2 // or how many columns the record has
	s := Sniffer{RealTime: realTime}
	for i, step := range []struct {
		line string
		want int
	}{
		{rt, 9},
		{line(StandardColumns(33)), reject}, // a real-time log stays one
		{"", reset},
		{line(StandardColumns(33)), 33},
		{rt, reject},
		{line(StandardColumns(26)), 26}, // short of its end
		{line(StandardColumns(12)), reject},
		{"", reset},
		{"garbage", reject},
		{line(StandardColumns(12)), 12}, // an old file without a header
		{line(StandardColumns(33)), reject},
		{"", reset},
		{"garbage", reject},
		{rt, 9},
		{"", reset},
		{"#Version: 1.0", header},
		{"#Fields: " + strings.Join(StandardColumns(24), " "), header},
		{line(StandardColumns(24)), 24},
		{"#Version: 1.0", header}, // a file that was joined to it
		{line(StandardColumns(24)), 24},
		{"#Fields:\t" + strings.Join(swapped, "\t"), header},
		{line(swapped), 24},
		{line(StandardColumns(24)), reject},
		{"", reset},
		{"#Version: 1.0", header},
		{line(StandardColumns(35)), 35},
	} {
		if step.want == reset {
			s.Reset()
			continue
		}
		format, err := s.Format([]byte(step.line))
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		var r Record
		switch {
		case format == nil:
			if step.want != header {
				t.Errorf("step %d: a header", i)
			}
		case format.Parse(&r, []byte(step.line)) != nil:
			if step.want != reject {
				t.Errorf("step %d: rejected", i)
			}
		case int(r.columns) != step.want:
			t.Errorf("step %d: %d columns, want %d", i, r.columns, step.want)
		}
	}
}

// What is said about a log goes before what it looks like.
func TestSnifferTold(t *testing.T) {
	realTime := mustFormat(t, required)
	rt := []byte(strings.Join(goodColumns(realTime), "\t"))
	standard := []byte(strings.Join(goodStandardColumns(StandardColumns(33)), "\t"))
	var r Record

	told := Sniffer{RealTime: realTime, Kind: KindRealTime}
	for _, line := range [][]byte{standard, []byte("#Fields: x"), rt} {
		if f, err := told.Format(line); f != realTime || err != nil {
			t.Errorf("%.20q: %v, %v", line, f, err)
		}
	}
	told = Sniffer{RealTime: realTime, Kind: KindStandard}
	for _, line := range [][]byte{rt, []byte("garbage"), standard, rt} {
		f, err := told.Format(line)
		if err != nil || f == nil || f == realTime {
			t.Fatalf("%.20q: %v, %v", line, f, err)
		}
		if good := f.Parse(&r, line) == nil; good != bytes.Equal(line, standard) {
			t.Errorf("%.20q: a record: %v", line, good)
		}
	}
	for _, kind := range []Kind{KindUnknown, KindRealTime} {
		told = Sniffer{Kind: kind}
		if f, err := told.Format(rt); f != nil || err != ErrNoFields {
			t.Errorf("real-time without fields: %v, %v", f, err)
		}
	}
	told = Sniffer{}
	if f, err := told.Format([]byte("garbage")); err != nil || f.Parse(&r, []byte("garbage")) == nil {
		t.Errorf("garbage: %v", err)
	}
	if f, err := told.Format([]byte("#Fields: date time")); f != nil || err == nil || !strings.Contains(err.Error(), `"c-ip" is missing`) {
		t.Errorf("a header without a client: %v, %v", f, err)
	}
}

// Whatever the lines, each gets a format, or is a header, or the error says why not.
func FuzzSniffer(f *testing.F) {
	f.Add([]byte("#Version: 1.0\n#Fields: " + strings.Join(StandardColumns(33), " ") + "\n2026-03-12\t15:00:02\tNRT57-P2"))
	f.Add([]byte("1791187500.123\t203.0.113.9\n\n#Fields: date"))
	format := mustFormat(f, required)
	f.Fuzz(func(t *testing.T, log []byte) {
		for _, kind := range []Kind{KindUnknown, KindRealTime, KindStandard} {
			for _, realTime := range []*Format{nil, format} {
				s := Sniffer{RealTime: realTime, Kind: kind}
				for line := range bytes.SplitSeq(log, []byte{'\n'}) {
					f, err := s.Format(line)
					_, header := Header(line)
					switch {
					case f == nil && err == nil && (!header || kind == KindRealTime):
						t.Fatalf("no format for %q", line)
					case f != nil && err != nil, f != nil && header && kind != KindRealTime:
						t.Fatalf("%q: %v, %v", line, f, err)
					case f != nil:
						var r Record
						_ = f.Parse(&r, line)
					}
				}
			}
		}
	})
}

// The formats that a Sniffer makes have its clients, whether a header or a line told them.
func TestSnifferClientBits(t *testing.T) {
	line := goodStandardColumns(StandardColumns(33))
	line[4] = "2001:db8:1:2:3::4"
	for name, lines := range map[string][]string{
		"header": {"#Fields: " + strings.Join(StandardColumns(33), " "), strings.Join(line, "\t")},
		"line":   {strings.Join(line, "\t")},
	} {
		for bits, want := range map[int]string{0: "2001:db8:1:2::/64", 48: "2001:db8:1::/48", 128: "2001:db8:1:2:3::4/128"} {
			s := Sniffer{ClientBits: bits}
			var r Record
			for _, line := range lines {
				format, err := s.Format([]byte(line))
				if err != nil {
					t.Fatal(err)
				}
				if format == nil {
					continue
				}
				if err := format.Parse(&r, []byte(line)); err != nil {
					t.Fatal(err)
				}
			}
			if got := r.Client().String(); got != want {
				t.Errorf("%s, %d bits: client %s, want %s", name, bits, got, want)
			}
		}
	}
}

// TestSnifferRealTimeHeader: a header with the column timestamp is a real-time log's.
func TestSnifferRealTimeHeader(t *testing.T) {
	const required = "timestamp c-ip sc-status cs-method cs-host cs-uri-stem x-edge-request-id cs-protocol-version cs-user-agent"
	line := []byte("1791187500.123\t2001:db8:1:2:3::1\t200\tGET\twww.example.com\t/\tid\tHTTP/2.0\tcurl/8.5.0")
	for _, kind := range []Kind{KindUnknown, KindRealTime} {
		s := Sniffer{Kind: kind, ClientBits: 128}
		if format, err := s.Format([]byte("#Fields: " + required)); format != nil || err != nil {
			t.Fatalf("header: %v, %v", format, err)
		}
		format, err := s.Format(line)
		if err != nil {
			t.Fatal(err)
		}
		var r Record
		if err := format.Parse(&r, line); err != nil {
			t.Fatal(err)
		}
		if r.Client().Bits() != 128 || string(r.Raw(FieldCSUserAgent)) != "curl/8.5.0" {
			t.Errorf("record of %v by %q", r.Client(), r.Raw(FieldCSUserAgent))
		}
	}
	for header, want := range map[string]string{
		"#Fields: c-ip timestamp sc-status cs-method cs-host cs-uri-stem x-edge-request-id cs-protocol-version cs-user-agent": "one order",
		"#Fields: timestamp c-ip":         "missing",
		"#Fields: " + required + " c-ipp": "c-ip",
	} {
		s := Sniffer{}
		if _, err := s.Format([]byte(header)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", header, err, want)
		}
	}
	s := Sniffer{Kind: KindStandard}
	if _, err := s.Format([]byte("#Fields: " + required)); err == nil {
		t.Error("a standard log was announced, and a real-time header let pass")
	}
}
