package expression

import (
	"errors"
	"math/big"
	"strings"
)

// Limits of DynamoDB's numbers.
const (
	maxDigits   = 38   // significant digits
	maxExponent = 125  // of the first digit
	minExponent = -130 // of the first digit
)

// Errors of parseDecimal, in the cases that AWS tells apart.
var (
	errNumberSyntax   = errors.New("the parameter cannot be converted to a numeric value")
	errNumberDigits   = errors.New("attempting to store more than 38 significant digits in a number")
	errNumberOverflow = errors.New("number overflow: magnitude larger than supported range")
	errNumberTiny     = errors.New("number underflow: magnitude smaller than supported range")
)

// decimal is a number as DynamoDB keeps it: coef * 10^exp, exact, with no
// trailing zero in coef. Decimals are never changed once made.
type decimal struct {
	coef *big.Int
	exp  int
}

// parseDecimal reads "-12.5e3". A plus sign is good for an exponent only.
func parseDecimal(s string) (decimal, error) {
	mantissa, exp, ok := splitExponent(strings.TrimSpace(s))
	if !ok {
		return decimal{}, errNumberSyntax
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	whole, negative := strings.CutPrefix(whole, "-")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return decimal{}, errNumberSyntax
	}
	// Zeros carry no information, and a client may send a million of them.
	exp -= len(fraction)
	digits = strings.TrimLeft(digits, "0")
	short := strings.TrimRight(digits, "0")
	exp += len(digits) - len(short)
	if len(short) > maxDigits {
		return decimal{}, errNumberDigits
	}
	coef := new(big.Int)
	if short != "" {
		coef.SetString(short, 10)
	}
	if negative {
		coef.Neg(coef)
	}
	return newDecimal(coef, exp)
}

// splitExponent cuts "1.5e-7" into "1.5" and -7. Exponents out of any reason
// are clamped, which newDecimal then refuses.
func splitExponent(s string) (mantissa string, exp int, ok bool) {
	at := strings.IndexAny(s, "eE")
	if at < 0 {
		return s, 0, true
	}
	mantissa, e := s[:at], s[at+1:]
	digits := strings.TrimLeft(e, "+-")
	if digits == "" || len(e)-len(digits) > 1 || strings.Trim(digits, "0123456789") != "" {
		return "", 0, false
	}
	const absurd = 1 << 30
	for _, c := range digits {
		exp = min(exp*10+int(c-'0'), absurd)
	}
	if e[0] == '-' {
		exp = -exp
	}
	return mantissa, exp, true
}

// newDecimal strips trailing zeros and checks DynamoDB's limits. It owns coef.
func newDecimal(coef *big.Int, exp int) (decimal, error) {
	if coef.Sign() == 0 {
		return decimal{coef: new(big.Int)}, nil
	}
	ten, rest := big.NewInt(10), new(big.Int)
	for q := new(big.Int); ; exp++ {
		if q.QuoRem(coef, ten, rest); rest.Sign() != 0 {
			break
		}
		coef, q = q, coef
	}
	digits := len(new(big.Int).Abs(coef).String())
	switch first := exp + digits - 1; {
	case first > maxExponent:
		return decimal{}, errNumberOverflow
	case first < minExponent:
		return decimal{}, errNumberTiny
	case digits > maxDigits:
		return decimal{}, errNumberDigits
	}
	return decimal{coef, exp}, nil
}

// aligned returns both coefficients at the smaller exponent.
func aligned(a, b decimal) (x, y *big.Int, exp int) {
	scale := func(d decimal, exp int) *big.Int {
		p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.exp-exp)), nil)
		return p.Mul(p, d.coef)
	}
	exp = min(a.exp, b.exp)
	return scale(a, exp), scale(b, exp), exp
}

func (d decimal) cmp(o decimal) int {
	x, y, _ := aligned(d, o)
	return x.Cmp(y)
}

// add returns d + o, or an error if that is not a number DynamoDB can hold.
func (d decimal) add(o decimal) (decimal, error) {
	x, y, exp := aligned(d, o)
	return newDecimal(x.Add(x, y), exp)
}

func (d decimal) neg() decimal { return decimal{new(big.Int).Neg(d.coef), d.exp} }

// String spells d without an exponent, as DynamoDB answers.
func (d decimal) String() string {
	digits := new(big.Int).Abs(d.coef).String()
	sign := ""
	if d.coef.Sign() < 0 {
		sign = "-"
	}
	if d.exp >= 0 {
		return sign + digits + strings.Repeat("0", d.exp)
	}
	if missing := -d.exp - len(digits) + 1; missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) + d.exp
	return sign + digits[:point] + "." + digits[point:]
}
