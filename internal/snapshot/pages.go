package snapshot

import (
	"errors"
	"io"
)

// pageSize is how much memory a file in memory takes at a time.
const pageSize = 1 << 20

// pages is a file in memory that is written once and then read. It grows without being
// copied: a buffer that doubles takes three times what is in it.
type pages struct {
	list [][]byte // all full but the last one
	size int64
	at   int64 // that is read next
}

func (p *pages) Write(b []byte) (n int, err error) {
	for n < len(b) {
		if p.size%pageSize == 0 {
			p.list = append(p.list, make([]byte, 0, pageSize))
		}
		last := &p.list[len(p.list)-1]
		k := min(len(b)-n, pageSize-len(*last))
		*last = append(*last, b[n:n+k]...)
		n, p.size = n+k, p.size+int64(k)
	}
	return n, nil
}

func (p *pages) Read(b []byte) (int, error) {
	if p.at >= p.size {
		return 0, io.EOF
	}
	n := copy(b, p.list[p.at/pageSize][p.at%pageSize:])
	p.at += int64(n)
	return n, nil
}

func (p *pages) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += p.at
	case io.SeekEnd:
		offset += p.size
	}
	if offset < 0 {
		return p.at, errors.New("seek to before the beginning")
	}
	p.at = offset
	return offset, nil
}
