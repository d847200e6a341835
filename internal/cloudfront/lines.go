package cloudfront

import (
	"bytes"
	"iter"
)

// Lines yields the lines of one record of a stream, without their line breaks and
// without blank ones. CloudFront writes one line a record, mostly without a line
// break, but what stands between it and the stream may have joined several.
func Lines(data []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(data) > 0 {
			line, rest, _ := bytes.Cut(data, []byte{'\n'})
			line = bytes.TrimRight(line, "\r")
			if len(line) > 0 && !yield(line) {
				return
			}
			data = rest
		}
	}
}
