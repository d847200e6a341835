package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"weir/internal/cloudfront"
)

// A forgery is a way to send what costs much. Its lines are those of the log but for
// what the attacker chooses.
type forgery struct {
	name  string
	wants []cloudfront.Field // columns without which it shows nothing
	forge func(f *forger, line int)
}

// A forger changes columns of lines.
type forger struct {
	rnd     *rand.Rand
	place   map[cloudfront.Field]int // in a line; 0 where the log has no such column
	columns [][]byte                 // of the line at hand
}

// The limits within which CloudFront logs a request at all, and cuts what it logs of
// the headers.
const (
	maxURL     = 8192
	maxHeaders = 800
)

// forgedBytes is how many bytes of lines are forged: more than caches hold.
const forgedBytes = 24 << 20

// lines returns lines that are forged from others, at most one from each.
func (y *forgery) lines(from [][]byte, fields []cloudfront.Field) ([][]byte, error) {
	f := &forger{rnd: rand.New(rand.NewPCG(5, 6)), place: map[cloudfront.Field]int{}}
	for i, field := range fields {
		f.place[field] = i
	}
	for _, field := range y.wants {
		if _, ok := f.place[field]; !ok {
			return nil, fmt.Errorf("%w: %v", errNoColumn, field)
		}
	}
	var lines [][]byte
	size := 0
	for i, line := range from {
		if size >= forgedBytes {
			break
		}
		f.columns = bytes.Split(line, []byte{'\t'})
		if len(f.columns) != len(fields) {
			continue
		}
		y.forge(f, i)
		lines = append(lines, bytes.Join(f.columns, []byte{'\t'}))
		size += len(lines[len(lines)-1])
	}
	return pack(lines), nil
}

var errNoColumn = errors.New("the log has no column")

// set writes a text that a client sent into a column, as CloudFront logs it.
func (f *forger) set(field cloudfront.Field, wire string) {
	if i, ok := f.place[field]; ok {
		f.columns[i] = escape(wire)
	}
}

// url writes a path and a query.
func (f *forger) url(path, query string) {
	if query == "" {
		f.set(cloudfront.FieldCSURIStem, path)
		f.set(cloudfront.FieldCSURIQuery, "-")
		return
	}
	f.set(cloudfront.FieldCSURIStem, path+"?"+query)
	f.set(cloudfront.FieldCSURIQuery, query)
}

// escape writes a text as CloudFront does.
func escape(wire string) []byte {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(wire))
	for _, c := range []byte(wire) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("<>\"#%{}|\\^~[]`'", c) >= 0 {
			b = append(b, '%', digits[c>>4], digits[c&0xf])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// fill returns a text of so many bytes, made of pieces at random, that is another at
// each call.
func (f *forger) fill(size int, pieces []string) string {
	var b strings.Builder
	b.WriteString(f.word(8))
	for b.Len() < size {
		b.WriteString(pieces[f.rnd.IntN(len(pieces))])
	}
	return b.String()[:size]
}

// word returns letters and digits at random.
func (f *forger) word(size int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	b := make([]byte, size)
	for i := range b {
		b[i] = letters[f.rnd.IntN(len(letters))]
	}
	return string(b)
}

// order returns names of headers, framed and cut as they are logged, in an order of
// its own.
func (f *forger) order() string {
	var b strings.Builder
	for _, i := range f.rnd.Perm(len(headers)) {
		b.WriteString(headers[i])
		b.WriteByte('\n')
	}
	for b.Len() < maxHeaders {
		b.WriteString("x-" + f.word(12) + "\n")
	}
	// Three bytes are logged for the end of a name.
	text, logged := b.String(), 0
	for i := range len(text) {
		if logged++; text[i] == '\n' {
			logged += 2
		}
		if logged > maxHeaders {
			return text[:i]
		}
	}
	return text
}

var headers = strings.Fields(`host user-agent accept accept-language accept-encoding referer cookie
	sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-site sec-fetch-mode sec-fetch-dest sec-fetch-user
	upgrade-insecure-requests cache-control pragma dnt te origin connection if-modified-since if-none-match
	range via x-forwarded-for x-requested-with authorization content-type content-length priority`)
