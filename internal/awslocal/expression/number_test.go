package expression

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// someNumber draws a number that DynamoDB can hold, spelt in odd ways.
func someNumber() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		s := strings.Repeat("0", rapid.IntRange(0, 3).Draw(t, "zeros")) + rapid.StringMatching(`[0-9]{1,15}`).Draw(t, "whole")
		if rapid.Bool().Draw(t, "negative") {
			s = "-" + s
		}
		if rapid.Bool().Draw(t, "point") {
			s += "." + rapid.StringMatching(`[0-9]{0,15}`).Draw(t, "fraction")
		}
		if rapid.Bool().Draw(t, "exponent") {
			s += fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"e", "E"}).Draw(t, "e"), rapid.IntRange(-90, 90).Draw(t, "power"))
		}
		return s
	})
}

// rational reads a number the slow way.
func rational(t *rapid.T, s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("no number: %s", s)
	}
	return r
}

func TestDecimalProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		as, bs := someNumber().Draw(t, "a"), someNumber().Draw(t, "b")
		a, err := parseDecimal(as)
		if err != nil {
			t.Fatalf("%s: %v", as, err)
		}
		b, err := parseDecimal(bs)
		if err != nil {
			t.Fatalf("%s: %v", bs, err)
		}
		x, y := rational(t, as), rational(t, bs)
		if rational(t, a.String()).Cmp(x) != 0 {
			t.Fatalf("%s is spelt %s", as, a)
		}
		if again, err := parseDecimal(a.String()); err != nil || again.String() != a.String() {
			t.Fatalf("%s is spelt %s, and then %s, %v", as, a, again, err)
		}
		if a.cmp(b) != x.Cmp(y) {
			t.Fatalf("%s against %s: %d", as, bs, a.cmp(b))
		}
		for _, tt := range []struct {
			got  func() (decimal, error)
			want *big.Rat
		}{
			{func() (decimal, error) { return a.add(b) }, new(big.Rat).Add(x, y)},
			{func() (decimal, error) { return a.add(b.neg()) }, new(big.Rat).Sub(x, y)},
		} {
			switch got, err := tt.got(); {
			case errors.Is(err, errNumberDigits): // too far apart for 38 digits
			case err != nil:
				t.Fatalf("%s and %s: %v", as, bs, err)
			case rational(t, got.String()).Cmp(tt.want) != 0:
				t.Fatalf("%s and %s make %s, want %s", as, bs, got, tt.want)
			}
		}
	})
}

func TestParseDecimalRefuses(t *testing.T) {
	for s, want := range map[string]error{
		"": errNumberSyntax, ".": errNumberSyntax, "-": errNumberSyntax, "+1": errNumberSyntax, "--1": errNumberSyntax, "-+1": errNumberSyntax, "1.2.3": errNumberSyntax, "1e": errNumberSyntax, "1e+": errNumberSyntax,
		"1e+-1": errNumberSyntax, "e5": errNumberSyntax, "0x10": errNumberSyntax, "1_0": errNumberSyntax, "NaN": errNumberSyntax, "Infinity": errNumberSyntax, "1 2": errNumberSyntax, "٣": errNumberSyntax,
		strings.Repeat("1", 39): errNumberDigits, "0." + strings.Repeat("1", 39): errNumberDigits,
		"1e126": errNumberOverflow, "-1e126": errNumberOverflow, "1e99999999999999999999": errNumberOverflow,
		"1e-131": errNumberTiny, "-1e-99999999999999999999": errNumberTiny,
		"0e99999999999999999999": nil, "1e125": nil, "1e-130": nil, strings.Repeat("0", 1000) + "1": nil, "1" + strings.Repeat("0", 125): nil,
	} {
		if _, err := parseDecimal(s); !errors.Is(err, want) {
			t.Errorf("%.50s: %v, want %v", s, err, want)
		}
	}
}
