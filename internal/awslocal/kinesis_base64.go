package awslocal

import "encoding/base64"

// base64Class is 0 for the letters of the standard alphabet.
var base64Class = func() (class [256]uint8) {
	for i := range class {
		class[i] = 1
	}
	for _, b := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		class[b] = 0
	}
	return class
}()

// canonicalBase64 tells whether text is padded standard base64 of the one form
// that encoders write, and how many bytes it stands for. Such text is stored
// and handed out as it is: no record is ever decoded.
func canonicalBase64(text []byte) (size int, ok bool) {
	if len(text) == 0 {
		return 0, true
	}
	if len(text)%4 != 0 {
		return 0, false
	}
	letters, pad := text, 0
	for pad < 2 && letters[len(letters)-1] == '=' {
		letters, pad = letters[:len(letters)-1], pad+1
	}
	var wrong uint8
	for ; len(letters) >= 8; letters = letters[8:] { // unrolled: this loop was a third of a put
		wrong |= base64Class[letters[0]] | base64Class[letters[1]] | base64Class[letters[2]] | base64Class[letters[3]] |
			base64Class[letters[4]] | base64Class[letters[5]] | base64Class[letters[6]] | base64Class[letters[7]]
	}
	for _, b := range letters {
		wrong |= base64Class[b]
	}
	if wrong != 0 {
		return 0, false
	}
	if pad > 0 {
		var group [3]byte // the bits that padding leaves unused must be 0
		if _, err := base64.StdEncoding.Strict().Decode(group[:], text[len(text)-4:]); err != nil {
			return 0, false
		}
	}
	return len(text)/4*3 - pad, true
}

// data takes a blob and returns it as canonical base64, which is not nil, and
// its size.
func (c *jsonCursor) data() (text []byte, size int) {
	text, plain := c.string()
	if plain {
		if size, ok := canonicalBase64(text); ok {
			return text, size
		}
	}
	blob, err := base64.StdEncoding.AppendDecode(nil, c.unquote(text))
	if err != nil {
		c.bad = true
	}
	return base64.StdEncoding.AppendEncode([]byte{}, blob), len(blob)
}
