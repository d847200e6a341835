package cloudfront

import "bytes"

const maxBounds = 80

// split finds the columns of a line and tells whether there are n of them.
func split(bounds *[maxBounds]uint32, line []byte, n int) bool {
	start, columns := 0, 0
	for columns < n {
		i := bytes.IndexByte(line[start:], '\t')
		columns++
		if i < 0 {
			bounds[columns] = uint32(len(line)) + 1
			return columns == n
		}
		start += i + 1
		bounds[columns] = uint32(start)
	}
	return start == len(line)
}
