package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"weir/internal/ban"
)

// FuzzParseActive: whatever a line holds, it is refused in one line of text or
// gives a decision that -decisions would write as it was read.
func FuzzParseActive(f *testing.F) {
	for _, line := range []string{
		`{"ts":1791187323.606,"value":"180.61.101.169","scenario":"http-xss","type":"ban","until":1791201723.606,"id":"14e227114ae30e6230806c09"}`,
		`{"ts": 1, "value": "2001:db8::/64", "duration": "1h30m"}`,
		`{"ts": 253402300799.999, "value": "0.0.0.0/0", "type": "captcha"}`,
		`{"TS": 1e3, "value": "::ffff:192.0.2.1"}`,
		`[1]`, `null`, `{"until": "soon"}`, `{"ts": 1e400}`, "\x00", `{"duration":"9223372036854775807ns","ts":1,"value":"1.2.3.4"}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		d, err := parseActive(line)
		if err != nil {
			if text := err.Error(); text == "" || strings.Contains(text, "\n") {
				t.Errorf("%q is refused with %q", line, text)
			}
			return
		}
		if lasts := d.Until.Sub(d.At); d.Until.IsZero() || lasts < ban.MinDuration || lasts > ban.MaxDuration {
			return // the store's business
		}
		d.Until = d.Until.Truncate(time.Millisecond)
		written, err := json.Marshal(newDecisionLine(&d))
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parseActive(written); err != nil || !reflect.DeepEqual(again, d) {
			t.Errorf("%q became %+v, was written as %s, became %+v (%v)", line, d, written, again, err)
		}
	})
}
