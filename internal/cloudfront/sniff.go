package cloudfront

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kind is a kind of CloudFront log.
type Kind uint8

const (
	// KindUnknown is what cannot be told from a line.
	KindUnknown Kind = iota
	// KindRealTime lines have the columns that the log's configuration lists.
	KindRealTime
	// KindStandard lines have the columns that a header lists, or those that standard
	// logs of their width have.
	KindStandard
)

// Sniff tells by its beginning what kind of log a line is of. A standard log's begins with
// a date, or with '#' where it is a header; a real-time log's with epoch seconds.
func Sniff(line []byte) Kind {
	first, _, more := bytes.Cut(line[:min(len(line), 64)], []byte{'\t'})
	if _, header := Header(line); header {
		return KindStandard
	}
	if !more {
		return KindUnknown
	}
	if _, ok := parseTime(first); ok {
		return KindRealTime
	}
	if _, ok := parseDate(first); ok {
		return KindStandard
	}
	return KindUnknown
}

// Sniffer finds the format of each line of a log that was not announced. It is not safe
// for concurrent use: a log's header means what follows it.
type Sniffer struct {
	// RealTime is the format of real-time lines; nil when their fields are not known.
	RealTime *Format
	// Kind is what the lines are; KindUnknown has it found out from the lines themselves.
	Kind Kind
	// ClientBits is for the formats of headers and standard logs what
	// Format.WithClientBits takes; 0 = DefaultClientBits. RealTime has its own.
	ClientBits int

	format *Format // of the lines that follow; nil until one was recognised
	other  *Format // of lines that nothing can be told of; nil until there were any
}

// ErrNoFields is that a log is real-time and that its field list is not known.
var ErrNoFields = errors.New("this is a real-time log, and its field list is not given")

// Reset forgets what the last input was: another one begins.
func (s *Sniffer) Reset() { s.format = nil }

// Format returns the format to parse the next line with; nil when it is a header and so to
// be passed over. A header holds until the next one, also where several files were joined.
// One that lists "timestamp" is of a real-time log.
//
// A line of which nothing can be told gets some format, which will reject it. The error is
// ErrNoFields, or tells what is wrong with a header: the lines that follow cannot be read.
func (s *Sniffer) Format(line []byte) (*Format, error) {
	if columns, header := Header(line); header && (s.Kind != KindRealTime || slices.Contains(columns, realTimeOnly)) {
		return nil, s.header(columns)
	}
	if s.format != nil {
		return s.format, nil
	}
	seen := Sniff(line)
	kind := s.Kind
	if kind == KindUnknown {
		kind = seen
	}
	switch {
	case kind == KindStandard && seen == KindStandard:
		var err error
		s.format, err = s.standard(StandardColumns(bytes.Count(line, []byte{'\t'}) + 1))
		return s.format, err
	case kind == KindStandard || kind == KindUnknown && s.RealTime == nil:
		return s.rejecting()
	case s.RealTime == nil:
		return nil, ErrNoFields
	case kind == KindRealTime:
		s.format = s.RealTime
	}
	return s.RealTime, nil
}

// rejecting returns the format for lines of which nothing can be told.
func (s *Sniffer) rejecting() (_ *Format, err error) {
	if s.other == nil {
		s.other, err = s.standard(StandardColumns(standardDefault))
	}
	return s.other, err
}

// realTimeOnly is a column of real-time logs that no standard log has.
const realTimeOnly = "timestamp"

// header takes the columns of a header. CloudFront puts none before a real-time log, but
// people do who keep lines of one as an example.
func (s *Sniffer) header(columns []string) error {
	if columns == nil {
		return nil
	}
	read, kind := s.standard, "standard"
	if s.Kind != KindStandard && slices.Contains(columns, realTimeOnly) {
		read, kind = s.realTime, "real-time"
	}
	format, err := read(columns)
	if err != nil {
		return fmt.Errorf("header of a %s log: %w", kind, err)
	}
	s.format = format
	return nil
}

// realTime returns the format of real-time lines with these columns, in AWS's order.
func (s *Sniffer) realTime(columns []string) (*Format, error) {
	fields, err := ParseFields(strings.Join(columns, " "))
	if err != nil {
		return nil, err
	}
	for i, f := range fields {
		if f.String() != columns[i] {
			return nil, fmt.Errorf("column %q comes where CloudFront logs %q: real-time logs have one order", columns[i], f)
		}
	}
	format, err := NewFormat(fields)
	if err != nil || s.ClientBits == 0 {
		return format, err
	}
	return format.WithClientBits(s.ClientBits), nil
}

// standard is NewStandardFormat with the clients of ClientBits.
func (s *Sniffer) standard(columns []string) (*Format, error) {
	format, err := NewStandardFormat(columns)
	if err != nil || s.ClientBits == 0 {
		return format, err
	}
	return format.WithClientBits(s.ClientBits), nil
}
