package kinesis

// decimal is a number of JSON as it is written: digits * 10^exponent.
type decimal struct {
	digits   int64
	exponent int
	whole    bool // without a point or an exponent
}

// exactDigits is how many digits an integer may have that a float64 surely holds.
const exactDigits = 15

// number goes past a number that is not negative and has few digits.
func (c *cursor) number() (d decimal) {
	c.peek()
	text := c.text[c.i:]
	n := digitsOf(text, &d)
	if n == 0 || n > 1 && text[0] == '0' {
		c.odd = true
		return decimal{}
	}
	i, digits := n, n
	d.whole = true
	if i < len(text) && text[i] == '.' {
		n = digitsOf(text[i+1:], &d)
		i, digits = i+1+n, digits+n
		d.exponent, d.whole = -n, false
		c.odd = c.odd || n == 0
	}
	if i < len(text) && (text[i] == 'E' || text[i] == 'e') {
		e, minus := decimal{}, false
		i++
		if i < len(text) && (text[i] == '-' || text[i] == '+') {
			minus = text[i] == '-'
			i++
		}
		n = digitsOf(text[i:], &e)
		i += n
		if minus {
			e.digits = -e.digits
		}
		c.odd = c.odd || n == 0 || n > 2
		d.exponent, d.whole = d.exponent+int(e.digits), false
	}
	c.odd = c.odd || digits > exactDigits
	c.i += i
	return d
}

// digitsOf appends the digits that text begins with to d, and tells how many they
// are. It takes no more than a number of 64 bits holds.
func digitsOf(text []byte, d *decimal) (n int) {
	for n < len(text) && text[n]-'0' <= 9 && n <= exactDigits {
		d.digits = d.digits*10 + int64(text[n]-'0')
		n++
	}
	return n
}

// integer goes past an integer.
func (c *cursor) integer() int64 {
	d := c.number()
	c.odd = c.odd || !d.whole
	return d.digits
}

// powers are those powers of ten that times are written with, 1.441215410867E9 or
// 1441215410.867. Like all up to 10^22, a float64 holds them exactly.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// latest is the last second that millis knows. The SDK counts nanoseconds in 64
// bits, which end in the year 2262.
const latest = 9.2e9

// millis goes past a time in seconds and returns it in milliseconds, as the SDK
// does: it takes the nearest float64, multiplies that, and drops what is left of
// the point, so that 0.067 is 67 and 0.069 is 69, but some time is a millisecond
// less than it says. A quotient of two floats that are exact is the nearest one.
func (c *cursor) millis() int64 {
	d := c.number()
	var seconds float64
	switch {
	case d.exponent >= 0 && d.exponent < len(powers):
		seconds = float64(d.digits) * powers[d.exponent]
	case d.exponent < 0 && -d.exponent < len(powers):
		seconds = float64(d.digits) / powers[-d.exponent]
	default:
		c.odd = true
	}
	if seconds > latest {
		c.odd = true
		return 0
	}
	return int64(seconds * 1000)
}
