package agent

import "strings"

// String returns the names of the kinds in a set, such as "browser+outdated"; "" for none.
func (k Kind) String() string {
	return spell(uint32(k), "tool", "library", "browser", "webview", "app", "headless", "bot", "known", "empty", "broken", "outdated")
}

// String returns what is contradicted, such as "no-accept+library-order"; "" for nothing.
func (c Contradiction) String() string {
	return spell(uint32(c), "no-fetch-metadata", "no-negotiation", "no-accept", "library-order", "wrong-case", "wrong-encoding", "old-protocol", "any-page")
}

// String returns the names of the signs, such as "cookie+referer+known"; "" for none.
func (s Signs) String() string {
	return spell(uint32(s), "cookie", "authorization", "referer", "fetch-metadata", "accept-language", "key", "known")
}

var productNames = [...]string{"", "chrome", "edge", "firefox", "safari", "opera", "samsung", "explorer"}

// String returns the product's name in lower case; "" for none.
func (p Product) String() string { return productNames[p] }

// spell joins the names of the bits that are set, the lowest first.
func spell(set uint32, bits ...string) string {
	var b strings.Builder
	for i, name := range bits {
		if set&(1<<i) != 0 {
			if b.Len() > 0 {
				b.WriteByte('+')
			}
			b.WriteString(name)
		}
	}
	return b.String()
}
