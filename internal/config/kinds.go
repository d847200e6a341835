package config

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// A kind is what a setting may be. Its functions read and write the field of a
// Config that it was made for.
type kind struct {
	want   string // what is allowed, to go after "want"
	noun   string // the word in it that -help puts after the flag; "" = none fits
	list   bool   // values separated by commas
	secret bool   // never shown

	set func(s string) (wrong []string) // fills the field, or names the parts of s that are not allowed
	get func() string                   // the field as one would write it
}

// one is the kind of a setting with a single value.
func one[T any](p *T, want, noun string, read func(string) (T, bool), write func(T) string) kind {
	return kind{want: want, noun: noun, set: func(s string) []string {
		v, ok := read(s)
		if !ok {
			return []string{s}
		}
		*p = v
		return nil
	}, get: func() string { return write(*p) }}
}

// many is the kind of a setting with values separated by commas, of which there
// is at least one. Empty ones are passed over, so that a list may end in a comma.
func many[T any](p *[]T, want, noun string, read func(string) (T, bool), write func(T) string) kind {
	return kind{want: want, noun: noun, list: true, set: func(s string) (wrong []string) {
		var list []T
		for part := range strings.SplitSeq(s, ",") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			if v, ok := read(part); ok {
				list = append(list, v)
			} else {
				wrong = append(wrong, part)
			}
		}
		if list == nil && wrong == nil {
			return []string{s}
		}
		if wrong == nil {
			*p = list
		}
		return wrong
	}, get: func() string {
		parts := make([]string, len(*p))
		for i, v := range *p {
			parts[i] = write(v)
		}
		return strings.Join(parts, ",")
	}}
}

// span is the kind of a setting that lies between two values.
func span[T int | int64 | float64 | time.Duration](p *T, what string, least, most T, read func(string) (T, error), write func(T) string) kind {
	want := fmt.Sprintf("a %s from %s to %s", what, write(least), write(most))
	noun := what[strings.LastIndexByte(what, ' ')+1:]
	return one(p, want, noun, func(s string) (T, bool) {
		v, err := read(s)
		return v, err == nil && least <= v && v <= most // in this form it refuses a NaN
	}, write)
}

func duration(p *time.Duration, least, most time.Duration) kind {
	return span(p, "duration", least, most, time.ParseDuration, formatDuration)
}

func whole(p *int, least, most int) kind {
	return span(p, "whole number", least, most, strconv.Atoi, strconv.Itoa)
}

func rate(p *float64, least, most float64) kind {
	return span(p, "number", least, most,
		func(s string) (float64, error) { return strconv.ParseFloat(s, 64) },
		func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) })
}

func size(p *int64, least, most int64) kind {
	return span(p, "size", least, most, parseSize, formatSize)
}

// text is any text on one line.
func text(p *string, want, noun string) kind {
	return one(p, want, noun, printable, itself)
}

// The forms of names, as AWS has them.
var (
	streamForm   = regexp.MustCompile(`^(arn:aws[a-z-]*:kinesis:[a-z0-9-]+:\d{12}:stream/)?[A-Za-z0-9_.-]{1,128}$`)
	tableForm    = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`)
	consumerForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)
	workerForm   = regexp.MustCompile(`^[A-Za-z0-9_.:/-]{1,128}$`)
	secretForm   = regexp.MustCompile(`^[!-~]+$`) // fits into an HTTP header
	accountForm  = regexp.MustCompile(`^\d{12}$`)
	regionForm   = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-\d$`)
	roleForm     = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/[!-~]{1,512}$`)
	externalForm = regexp.MustCompile(`^[\w+=,.@:/-]{2,}$`)
	sessionForm  = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
)

// formed is a text of the given form.
func formed(p *string, want, noun string, form *regexp.Regexp) kind {
	return one(p, want, noun, func(s string) (string, bool) { return s, form.MatchString(s) }, itself)
}

func stream(p *string) kind {
	return formed(p, "the name or ARN of a Kinesis data stream", "name", streamForm)
}

func table(p *string) kind {
	return formed(p, "the name of a DynamoDB table", "name", tableForm)
}

func consumer(p *string) kind {
	return formed(p, "the name of a Kinesis consumer", "name", consumerForm)
}

func worker(p *string) kind {
	return formed(p, "a name of up to 128 letters, digits and any of _ . : / -", "name", workerForm)
}

func account(p *string) kind {
	return formed(p, "an AWS account, twelve digits", "account", accountForm)
}

func region(p *string) kind {
	return formed(p, "an AWS region, as in eu-central-1", "region", regionForm)
}

func role(p *string) kind {
	return formed(p, "the ARN of an IAM role", "ARN", roleForm)
}

func externalID(p *string) kind {
	const most = 1224 // of AWS, and more than an expression may count to
	return one(p, "2 to 1224 letters, digits and any of _ + = , . @ : / -", "",
		func(s string) (string, bool) { return s, len(s) <= most && externalForm.MatchString(s) }, itself)
}

func session(p *string) kind {
	return formed(p, "a name of 2 to 64 letters, digits and any of _ + = , . @ -", "name", sessionForm)
}

func fallback(p *string) kind {
	return choice(p, "block", "captcha", "challenge", "count", "none")
}

// secret is a text that nobody gets to see.
func secret(p *string) kind {
	k := formed(p, "printable ASCII characters without white space", "", secretForm)
	k.secret = true
	return k
}

func words(p *[]string, want, noun string) kind {
	return many(p, want, noun, printable, itself)
}

func choice(p *string, options ...string) kind {
	want := strings.Join(options[:len(options)-1], ", ") + " or " + options[len(options)-1]
	if len(options) == 1 {
		want = options[0]
	}
	return one(p, want, "", func(s string) (string, bool) { return s, slices.Contains(options, s) }, itself)
}

// yes is a switch.
func yes(p *bool) kind {
	return one(p, "true or false", "", func(s string) (v, ok bool) { return s == "true", s == "true" || s == "false" }, strconv.FormatBool)
}

// status is a status of WAF's custom responses. AWS would take statuses below
// 400, too, but then every good answer would look like a block.
func status(p *int) kind {
	allowed := []int{400, 401, 403, 404, 405, 408, 409, 411, 412, 413, 414, 415, 416, 421, 429, 500, 501, 502, 503, 504, 505}
	return one(p, "an HTTP status that WAF can answer with: 400, 401, 403-405, 408, 409, 411-416, 421, 429 or 500-505", "status",
		func(s string) (int, bool) {
			v, err := strconv.Atoi(s)
			return v, err == nil && slices.Contains(allowed, v)
		}, strconv.Itoa)
}

// start reads "oldest", "latest" or a duration. Kinesis keeps records for a year
// at most.
func start(p *Start) kind {
	const most = 365 * 24 * time.Hour
	return one(p, "a duration of up to "+formatDuration(most)+", oldest, or latest", "duration",
		func(s string) (Start, bool) {
			switch s {
			case "latest":
				return Start{}, true
			case "oldest":
				return Start{Oldest: true}, true
			}
			d, err := time.ParseDuration(s)
			return Start{Back: d}, err == nil && 0 <= d && d <= most
		},
		func(v Start) string {
			switch {
			case v.Oldest:
				return "oldest"
			case v.Back == 0:
				return "latest"
			}
			return formatDuration(v.Back)
		})
}

// listen takes no host name: whether it is this machine alone that can reach the
// address must not depend on what a name server says.
func listen(p *string) kind {
	return one(p, "an address as in 127.0.0.1:9180, [::1]:9180, localhost:9180 or :9180", "address",
		func(s string) (string, bool) {
			host, port, err := net.SplitHostPort(s)
			if err != nil {
				return "", false
			}
			_, portErr := strconv.ParseUint(port, 10, 16)
			_, addrErr := netip.ParseAddr(host)
			return s, portErr == nil && (addrErr == nil || host == "" || host == "localhost")
		}, itself)
}

// loopback reports whether only this machine reaches an address that listen took.
func loopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	addr, _ := netip.ParseAddr(host)
	return host == "localhost" || addr.Unmap().IsLoopback()
}

func prefixes(p *[]netip.Prefix) kind {
	return many(p, "a list of addresses and prefixes separated by commas", "list", parsePrefix, func(v netip.Prefix) string {
		if v.IsSingleIP() {
			return v.Addr().String()
		}
		return v.String()
	})
}

// parsePrefix reads an address or a prefix; host bits are dropped and an IPv4
// address in IPv6 clothes becomes an IPv4 address, as clients do.
func parsePrefix(s string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(s); err == nil {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), addr.Zone() == ""
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	if p.Addr().Is4In6() {
		const mapped = 96 // bits before the IPv4 address; a prefix that ends among them is no IPv4 range
		if p.Bits() < mapped {
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p.Masked(), true
}

const (
	mebi = 1 << 20
	tebi = 1 << 40
)

func sizeUnits() []string { return []string{"B", "KiB", "MiB", "GiB", "TiB"} }

// parseSize reads a whole number of bytes with a binary unit, as in 64MiB.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRightFunc(s, unicode.IsLetter)
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, err
	}
	unit := slices.Index(sizeUnits(), s[len(digits):])
	if unit < 0 {
		return 0, fmt.Errorf("no unit %q", s[len(digits):])
	}
	shift := 10 * unit
	if n < 0 || n > math.MaxInt64>>shift {
		return 0, strconv.ErrRange
	}
	return n << shift, nil
}

// formatSize is the inverse of parseSize, in the largest unit that is exact.
func formatSize(n int64) string {
	unit := 0
	for n != 0 && n%1024 == 0 && unit < len(sizeUnits())-1 {
		n, unit = n/1024, unit+1
	}
	return strconv.FormatInt(n, 10) + sizeUnits()[unit]
}

// formatDuration writes 4h where [time.Duration.String] writes 4h0m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func printable(s string) (string, bool) {
	return s, !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar })
}

func itself(s string) string { return s }
