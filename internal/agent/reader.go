package agent

import (
	"bytes"
	"encoding/binary"

	"weir/internal/cloudfront"
	"weir/internal/seeded"
)

// How much a Reader keeps of each kind: powers of two.
const (
	agentVerdicts = 1024
	clientBits    = 11
)

// A Reader reads records for one goroutine. It keeps what it made of the columns that come
// again and again, under their hash: a seeded 64-bit hash stands for the columns, so that
// nobody can aim at the place of another.
type Reader struct {
	directory *Directory
	hasher    *seeded.Hasher
	agents    []agentVerdict
	clients   []Client
	scratch   []byte
}

type agentVerdict struct {
	hash  uint64
	claim Claim
}

// NewReader returns a Reader. Fingerprints of two Readers compare when their Hashers have
// the same seed, whichever processes they are in.
func (d *Directory) NewReader(hasher *seeded.Hasher) *Reader {
	return &Reader{
		directory: d, hasher: hasher,
		agents:  make([]agentVerdict, agentVerdicts),
		clients: make([]Client, 1<<clientBits),
	}
}

// Client is what a record says of the software that sent it, by all that is the same in
// each of its requests: user agent, names of headers, versions of HTTP and TLS.
type Client struct {
	Claim   Claim
	Headers Headers

	// Note is the caller's, for what follows from a Client alone, and kept with it. It is 0
	// in one that was read anew.
	Note uint64

	key      uint64 // of the columns that it was read from
	agent    uint64 // hash of the user agent; 0 = none
	signs    Signs  // in the headers
	doubtful bool   // Contradicts has something to look at
}

// What stands for the hash of a column without a value.
const (
	notLogged = iota
	noValue
	leastHash
)

// Read reads the user agent and the names of the headers. Where user agents are not
// logged, the claim is empty, and without Empty. The Client is good until the next call.
func (rd *Reader) Read(r *cloudfront.Record) *Client {
	agent, names := r.Raw(cloudfront.FieldCSUserAgent), r.Raw(cloudfront.FieldCSHeaderNames)
	ofAgent, ofNames := uint64(notLogged), uint64(notLogged)
	if agent != nil {
		ofAgent = rd.hash(agent)
	} else if r.Has(cloudfront.FieldCSUserAgent) {
		ofAgent = noValue
	}
	if names != nil {
		ofNames = rd.hash(names)
	} else if r.Has(cloudfront.FieldCSHeaderNames) {
		ofNames = noValue
	}
	http, tls := r.Raw(cloudfront.FieldCSProtocolVersion), r.Raw(cloudfront.FieldSSLProtocol)
	key := mix(mix(ofAgent, ofNames), rd.word(http)+3*rd.word(tls))
	c := &rd.clients[key>>(64-clientBits)]
	if c.key == key {
		return c
	}
	*c = Client{key: key}
	if ofAgent >= leastHash {
		c.agent = ofAgent
		c.Claim = rd.claim(agent, ofAgent)
	} else if ofAgent == noValue {
		c.Claim.Kind = Empty
	}
	if ofNames >= leastHash {
		c.Headers, rd.scratch = ReadHeaders(names, rd.hasher, rd.scratch)
	} else if ofNames == noValue {
		c.Headers.Set = NamesKnown | Complete
	}
	c.signs = signsIn(c.Headers)
	c.doubtful = c.Claim.Kind&Browser != 0 && (!isBeyondDoubt(c.Headers) || isOld(c.Claim, c.Headers, tls, http))
	return c
}

// claim is Parse, remembered: there are fewer user agents than Clients.
func (rd *Reader) claim(agent []byte, hash uint64) Claim {
	v := &rd.agents[hash%agentVerdicts]
	if v.hash != hash {
		v.hash = hash
		v.claim, rd.scratch = Parse(agent, rd.scratch)
	}
	return v.claim
}

func (rd *Reader) hash(column []byte) uint64 {
	return max(leastHash, rd.hasher.Bytes(column))
}

// word makes a number of a short column, which only CloudFront writes.
func (rd *Reader) word(column []byte) uint64 {
	n := len(column)
	if n < 4 || n > 8 {
		return rd.hash(column)
	}
	return uint64(binary.LittleEndian.Uint32(column)) | uint64(binary.LittleEndian.Uint32(column[n-4:]))<<32
}

// Verify says whether a client that claims to be a crawler is it; Unknown if it does not
// claim so. See [Directory.Verify].
func (rd *Reader) Verify(c *Client, r *cloudfront.Record) Verdict {
	return rd.directory.Verify(c.Claim.Crawler, r.Addr, r.Raw(cloudfront.FieldASN))
}

// Agent returns the hash of the user agent, by the Reader's Hasher; 0 = none.
func (c *Client) Agent() uint64 { return c.agent }

// Contradicts is [Contradicts] of a client.
func (c *Client) Contradicts(r *cloudfront.Record) Contradiction {
	if !c.doubtful {
		return 0
	}
	return Contradicts(c.Claim, c.Headers, r)
}

// Signs is [SignsOf] of a client, whose columns are known.
func (c *Client) Signs(r *cloudfront.Record, cookie, referer []byte) Signs {
	return c.signs.with(c.Headers, r, cookie, referer)
}

// Software returns the fingerprint of the software that sent a record, whatever it calls
// itself: by its TLS handshake where a viewer-request function logs ja4=... or ja3=...,
// else by the names of its headers, in their order and case, what it accepts, its cipher
// and its version of HTTP. What changes from request to request has no part in it: see
// known. 0 = nothing of it is logged.
func (rd *Reader) Software(c *Client, r *cloudfront.Record) uint64 {
	if ja := handshake(r.Raw(cloudfront.FieldViewerRequestLogData)); ja != nil {
		return rd.hash(ja)
	}
	var columns [256]byte
	joined := columns[:0]
	for _, f := range [...]cloudfront.Field{cloudfront.FieldCSAcceptEncoding, cloudfront.FieldSSLCipher, cloudfront.FieldCSProtocolVersion} {
		column := r.Raw(f)
		joined = append(append(joined, column[:min(len(column), 64)]...), '\n')
	}
	if c.Headers.hash == 0 && len(joined) == 3 {
		return 0
	}
	return mix(c.Headers.hash, rd.hash(joined))
}

// Fingerprint is Software together with the user agent.
func (rd *Reader) Fingerprint(c *Client, r *cloudfront.Record) uint64 {
	if c.agent == 0 {
		return rd.Software(c, r)
	}
	return mix(rd.Software(c, r), c.agent)
}

// mix joins two hashes, in their order. It is never 0.
func mix(a, b uint64) uint64 {
	return max(1, (a^(b+0x9e3779b97f4a7c15+a<<6+a>>2))*0xff51afd7ed558ccd)
}

// handshake returns the fingerprint of a TLS handshake that a function logged, the newer
// kind where there are both; nil if there is none. The column may hold more, and functions
// may have escaped it once themselves.
func handshake(data []byte) []byte {
	for _, key := range [...]string{"ja4=", "ja4%3D", "ja3=", "ja3%3D"} {
		at := bytes.Index(data, []byte(key))
		if at < 0 || at > 0 && isNameByte(data[at-1]) && (at < 3 || data[at-3] != '%') {
			continue
		}
		value := data[at+len(key):]
		end := 0
		for end < len(value) && (isNameByte(value[end]) || value[end] == '-') {
			end++
		}
		if end > 0 {
			return value[:end]
		}
	}
	return nil
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}
