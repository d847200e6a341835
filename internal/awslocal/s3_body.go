package awslocal

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"
)

// objectBody returns what is to be kept, taken out of its chunks if it came in such,
// and checked as far as the client has said what it should be.
func objectBody(r *http.Request, body []byte) ([]byte, error) {
	sum := r.Header.Get("X-Amz-Content-Sha256")
	trailer := http.Header{}
	switch {
	case sum == "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
		var ok bool
		if body, trailer, ok = chunks(body); !ok {
			return nil, fail(http.StatusBadRequest, "IncompleteBody", "the chunks of the body cannot be read")
		}
		if n, err := strconv.Atoi(r.Header.Get("X-Amz-Decoded-Content-Length")); err != nil || n != len(body) {
			return nil, fail(http.StatusBadRequest, "IncompleteBody", "the body has %d bytes", len(body))
		}
		if name := r.Header.Get("X-Amz-Trailer"); name == "" || trailer.Get(name) == "" {
			return nil, fail(http.StatusBadRequest, "MalformedTrailerError", "the trailer %q is missing", name)
		}
	case sum == "UNSIGNED-PAYLOAD":
	default:
		if got := sha256.Sum256(body); sum != hex.EncodeToString(got[:]) {
			return nil, fail(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "the body's hash is not the signed one")
		}
	}
	for name, h := range map[string]hash.Hash{
		"X-Amz-Checksum-Crc32":  crc32.NewIEEE(),
		"X-Amz-Checksum-Crc32c": crc32.New(crc32.MakeTable(crc32.Castagnoli)),
		"X-Amz-Checksum-Sha256": sha256.New(),
	} {
		for _, want := range []string{r.Header.Get(name), trailer.Get(name)} {
			if want != "" && want != checksumCRC(h, body) {
				return nil, fail(http.StatusBadRequest, "BadDigest", "%s is not that of the body", name)
			}
		}
	}
	return body, nil
}

func checksumCRC(h hash.Hash, data []byte) string {
	h.Reset()
	h.Write(data)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// chunks takes a body of the encoding aws-chunked apart: chunks with their length in
// hexadecimal before them, an empty one, and trailing headers.
func chunks(body []byte) (data []byte, trailer http.Header, ok bool) {
	trailer = http.Header{}
	for {
		line, rest, found := bytes.Cut(body, []byte("\r\n"))
		size, _, _ := strings.Cut(string(line), ";")
		n, err := strconv.ParseUint(size, 16, 31)
		if !found || err != nil {
			return nil, nil, false
		}
		body = rest
		if n == 0 {
			break
		}
		if uint64(len(body)) < n+2 || string(body[n:n+2]) != "\r\n" {
			return nil, nil, false
		}
		data, body = append(data, body[:n]...), body[n+2:]
	}
	for line := range strings.SplitSeq(string(body), "\r\n") {
		if name, value, found := strings.Cut(line, ":"); found {
			trailer.Set(name, strings.TrimSpace(value))
		}
	}
	return data, trailer, true
}
