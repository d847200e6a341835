package agent

import (
	"bytes"

	"weir/internal/cloudfront"
)

// Kind is what a user agent says, as a set.
type Kind uint16

const (
	Tool     Kind = 1 << iota // an attack tool names itself, or betrays itself by how it misspells
	Library                   // an HTTP client for programs: curl, Python, Go, okhttp, ...
	Browser                   // a browser, which a person looks at; never together with what is in notBrowser
	WebView                   // a browser inside of an app, a mail client, or one that fetches through its maker's servers
	App                       // a mobile app that does not show pages
	Headless                  // a browser that is driven by a program
	Bot                       // says that it is a bot, known or not
	Known                     // claims to be a crawler, a preview or a monitor that the directory knows: Claim.Crawler
	Empty                     // no user agent
	Broken                    // no software says this: garbage, a misspelt Mozilla, versions that never met
	Outdated                  // a browser that has been dead for years
)

// notBrowser is what says of itself that it is none, though it names one.
const notBrowser = Tool | Library | Bot | WebView | App | Headless

// Product is the browser that a user agent names.
type Product uint8

const (
	NoProduct Product = iota
	Chrome            // and what does not tell itself from it
	Edge
	Firefox
	Safari
	Opera
	Samsung
	Explorer
)

// Claim is what a user agent says.
type Claim struct {
	Kind    Kind
	Product Product // with Browser
	Version uint16  // its major version; 0 = unknown, or an engine that does not keep up with it
	Crawler Crawler // with Known
}

// The share of a user agent that is read, in bytes as logged. What software sends is no
// longer than agentWhole.
const (
	agentWhole = 512 // all of it
	agentHead  = 256 // of a longer one
)

// Parse reads a user agent as it was logged; nil is none. scratch is overwritten and
// returned, to be given again: so nothing is allocated once it has grown.
//
// Of one of more than 512 bytes only the first 256 count, so that it costs little.
func Parse(column, scratch []byte) (Claim, []byte) {
	read := column
	if len(read) > agentWhole {
		read = read[:agentHead]
	}
	text := cloudfront.Decode(scratch[:0], read, false)
	trimmed := bytes.TrimSpace(text)
	if len(trimmed) == 0 || len(trimmed) == 1 && trimmed[0] == '-' {
		return Claim{Kind: Empty}, text
	}
	f := words.find(trimmed)
	c := Claim{Kind: f.kind, Crawler: f.crawler}
	if c.Crawler != 0 {
		c.Kind |= Known | Bot
	}
	c.judge(&f)
	if isGarbage(trimmed, column) {
		c.Kind |= Broken
	}
	return c, text
}

// judge adds what the names of browsers say together.
func (c *Claim) judge(f *findings) {
	c.Product, c.Version = f.browser()
	if c.Product == NoProduct {
		if f.has(mozilla) && f.has(appleWebKit) && c.Kind&(Tool|Library|Bot|Headless) == 0 {
			c.Kind |= WebView // Mail on a Mac, apps on an iPhone
		}
		return
	}
	if f.chimera() || !f.has(mozilla) && c.Product != Opera && c.Kind&(App|Library|Bot|WebView) == 0 {
		c.Kind |= Broken
	}
	if c.Kind&notBrowser != 0 {
		c.Product, c.Version = NoProduct, 0
		return
	}
	c.Kind |= Browser
	if f.marks&(embedded|niche) != 0 {
		c.Version = 0
	} else if f.outdated(c.Product, c.Version) {
		c.Kind |= Outdated
	}
}

// browser tells the product from those that it names to be taken for.
func (f *findings) browser() (Product, uint16) {
	switch {
	case f.has(edg):
		return Edge, f.versions[edg]
	case f.has(opr):
		return Opera, f.versions[opr]
	case f.has(presto):
		return Opera, f.versions[presto]
	case f.has(samsung):
		return Samsung, f.versions[samsung]
	case f.has(iosShell):
		return Safari, 0 // every browser on iOS is WebKit below
	case f.has(firefox):
		return Firefox, f.versions[firefox]
	case f.has(chrome):
		return Chrome, f.versions[chrome]
	case f.has(version) && f.has(safari):
		return Safari, f.versions[version]
	case f.has(msie), f.has(trident):
		return Explorer, f.versions[msie]
	default:
		return NoProduct, 0
	}
}

// chimera reports whether versions are named that never were together: Chrome has not
// changed its AppleWebKit since version 28, and Firefox names its version twice.
func (f *findings) chimera() bool {
	if f.has(chrome) && f.versions[chrome] >= 28 && f.has(appleWebKit) && f.versions[appleWebKit] != 537 {
		return true
	}
	if f.has(firefox) && f.has(revision) && !f.has(chrome) && f.marks&niche == 0 {
		rv, v := f.versions[revision], f.versions[firefox]
		return rv != v && (rv != 109 || v < 110 || v > 119) // which all said 109
	}
	return false
}

// outdated reports whether a browser of that version is too old to open a page of today.
func (f *findings) outdated(p Product, v uint16) bool {
	switch p {
	case Chrome:
		return v < 60
	case Edge:
		return v < 16
	case Firefox:
		return v < 52
	case Safari:
		return f.has(version) && v < 9
	case Opera:
		return f.has(presto) || v < 47
	case Explorer:
		// Later ones call themselves MSIE 7 when a page asks them to, but name their Trident.
		return f.versions[trident] < 6
	default:
		return false
	}
}

// Modern reports whether the claim is a browser so young that it sends fetch metadata
// (Sec-Fetch-*) with every request over HTTPS.
func (c Claim) Modern() bool {
	if c.Kind&Browser == 0 {
		return false
	}
	switch c.Product {
	case Chrome, Edge:
		return c.Version >= 89
	case Firefox:
		return c.Version >= 90
	case Safari:
		return c.Version >= 17
	case Opera:
		return c.Version >= 75
	case Samsung:
		return c.Version >= 18
	default:
		return false
	}
}

// isGarbage reports whether a user agent is what no program is called: placeholders that
// were never filled in, a header's name within its value, control characters, a Mozilla
// that is spelled otherwise. column is the same as logged, in its own case.
func isGarbage(text, column []byte) bool {
	switch {
	case text[0] == 'm' && bytes.HasPrefix(column, []byte("mozilla/")):
		return true
	case bytes.HasPrefix(text, []byte("user-agent")), bytes.HasPrefix(text, []byte("user agent:")):
		return true
	case text[0] == '"' || text[0] == '\'' || text[0] == '<' || text[0] == '{' || text[0] == '$':
		return true
	}
	if first, _, found := bytes.Cut(text, []byte{'/'}); found && len(first) <= 12 && misspelt(first) {
		return true
	}
	for _, b := range text {
		if b < ' ' || b == 0x7f {
			return true
		}
	}
	return false
}

// misspelt reports whether a name is nearly Mozilla: the same letters and two of them
// missing or more at most, in any order, behind an M.
func misspelt(name []byte) bool {
	const right = "mozilla"
	if string(name) == right || len(name) < 5 || name[0] != 'm' {
		return false
	}
	var has [256]int8
	for _, c := range name {
		has[c]++
	}
	missing, extra := 0, len(name)
	for i := range len(right) {
		if has[right[i]] > 0 {
			has[right[i]]--
			extra--
		} else {
			missing++
		}
	}
	return missing <= 2 && extra <= 2 && missing+extra <= 2
}
