package scenario

import (
	"bytes"
	"encoding/binary"

	"weir/internal/agent"
	"weir/internal/cloudfront"
	"weir/internal/match"
	"weir/internal/payload"
)

// client returns what a record says of who sent it.
func (m *Matcher) client(r *cloudfront.Record, host []byte) uint64 {
	who := m.agents.Read(r)
	m.who = who
	if who.Note == 0 {
		who.Note = noted | m.note(who, r.Raw(cloudfront.FieldCSUserAgent))
	}
	referer, cookie := r.Raw(cloudfront.FieldCSReferer), r.Raw(cloudfront.FieldCSCookie)
	from := origin(referer, host)
	f := who.Note&^noted | ofSigns[who.Signs(r, cookie, referer)] | from | m.claims(r, from, referer, cookie)
	if who.Claim.Kind&agent.Known != 0 {
		switch m.agents.Verify(who, r) {
		case agent.Genuine:
			f |= isCrawler
		case agent.Impostor:
			f |= isImpostor
		case agent.Unknown:
			// A preview or a monitor asks for one page: that it may be one excuses nothing.
			if class := who.Claim.Crawler.Class(); class == agent.Search || class == agent.Analytics || class == agent.Archive {
				f |= isAlleged
			}
		}
	}
	if who.Contradicts(r) != 0 {
		f |= isContradiction
	}
	return f
}

// noted is set in every note, which otherwise holds facts of the request.
const noted = 1 << 63

// note returns what follows from a client alone.
func (m *Matcher) note(c *agent.Client, userAgent []byte) (f uint64) {
	kind := c.Claim.Kind
	for _, t := range kinds {
		if kind&t.kind != 0 {
			f |= t.fact
		}
	}
	if userAgent == nil {
		return f
	}
	if kind&agent.Browser == 0 {
		f |= m.packager(userAgent)
	}
	// What says no more than "Mozilla/5.0" has no name of its own.
	named := kind&(agent.Library|agent.App|agent.WebView|agent.Bot) != 0 || !hasPrefix(userAgent, "Mozilla/")
	if named && kind&(agent.Browser|agent.Headless|agent.Tool|agent.Broken|agent.Empty) == 0 {
		f |= saysProgram
	}
	return f | attack(m.scanner.UserAgent(userAgent))
}

// attack says which facts follow from what a header holds.
func attack(f payload.Finding) (facts uint64) {
	if f&payload.Lookup != 0 {
		facts |= hasLookup
	}
	if f != 0 {
		facts |= hasHeaderAttack
	}
	return facts
}

// ofSigns holds the facts that follow from each set of signs.
var ofSigns = func() (facts [agent.SignsKnown << 1]uint64) {
	for i := range facts {
		signs, f := agent.Signs(i), &facts[i]
		for _, t := range [...]struct {
			sign agent.Signs
			fact uint64
		}{{agent.SignCookie, hasCookie}, {agent.SignAuthorization, hasAuth}, {agent.SignReferer, hasReferer}} {
			if signs&t.sign != 0 {
				*f |= t.fact
			}
		}
		const attached = agent.SignCookie | agent.SignAuthorization | agent.SignKey | agent.SignReferer
		if signs&agent.SignsKnown != 0 && signs&attached == 0 {
			*f |= isUnattached
		}
		switch {
		case signs&(attached|agent.SignFetchMetadata) != 0:
			*f |= isFamiliar
		case signs&agent.SignsKnown != 0:
			*f |= isStranger
		}
	}
	return facts
}()

// kinds says which facts follow from what a user agent claims.
var kinds = [...]struct {
	kind agent.Kind
	fact uint64
}{
	{agent.Tool, isTool},
	{agent.Library, isLibrary},
	{agent.Browser, isBrowser},
	{agent.Empty, isNameless},
	{agent.Outdated, isOutdated},
	{agent.Bot, isBot},
	{agent.App | agent.WebView, isApp},
	{agent.Headless, isHeadless},
	{agent.Broken, isBroken},
}

// claims returns what the headers hold, beside the user agent, in which a client may claim
// anything.
func (m *Matcher) claims(r *cloudfront.Record, from uint64, referer, cookie []byte) uint64 {
	var f payload.Finding
	// On a page whose own address holds the words, everything that it loads carries
	// them as its referer, in a column of its own and among the headers.
	if from == isExternal && mayHold(referer) {
		f |= m.scanner.Header(referer) & inReferer
	}
	if raw := r.Raw(cloudfront.FieldXForwardedFor); raw != nil && bytes.IndexByte(raw, '%') >= 0 {
		f |= m.scanner.Header(raw)
	}
	if cookie != nil && hasBrace(cookie) {
		f |= m.scanner.Header(cookie) & payload.Lookup
	}
	if raw := r.Raw(cloudfront.FieldCSHeaders); raw != nil && from != isLinked && hasBrace(raw) {
		f |= m.scanner.Header(raw) & payload.Lookup
	}
	return attack(f)
}

// packager says whether a user agent begins with the name of a package manager.
func (m *Matcher) packager(raw []byte) uint64 {
	const longest = 64 // bytes as logged
	m.decoded = cloudfront.Decode(m.decoded[:0], raw[:min(len(raw), longest)], false)
	return m.set.packagers.Find(m.decoded)
}

// packagers are names of programs that fetch packages, code and images, as user agents
// begin with them. They try names that may be missing, and many of them.
func packagers() []match.Needle[uint64] {
	return list(isPackager, match.AtStart,
		"apache-maven", "gradle/", "apache-ivy", "coursier", "sbt/", "bazel", "buck2", "npm/", "yarn/", "pnpm/", "bun/", "deno/", "pip/", "uv/", "poetry/",
		"conda/", "mamba/", "git/", "git-lfs/", "jgit", "svn/", "mercurial/", "docker/", "containerd/", "buildkit/", "podman/", "skopeo/", "kaniko", "crane/",
		"nuget", "composer/", "cargo ", "cargo/", "bundler/", "rubygems", "gem/", "helm/", "oras/", "terraform/", "opentofu/", "renovate", "dependabot",
		"debian apt-http", "apt-cacher", "dnf/", "libdnf", "yum/", "zypp", "pacman/", "homebrew/", "chocolatey", "winget", "nix/", "spack/", "artifactory/",
		"nexus/", "rclone/", "aws-sdk", "aws-cli/", "boto3", "s3cmd/", "s5cmd", "minio", "cyberduck", "restic/", "microsoft-symbol-server", "josm/", "goproxy", "goproxy.io", "cpan", "hackage", "stack/", "swift package manager", "cocoapods", "pub/", "flutter/", "dart pub",
	)
}

// A referer is an address that a page of somebody else may have: it may well hold
// paths and words. So only what nobody has in an address counts.
const inReferer = payload.Lookup | payload.Command | payload.Code | payload.SQL | payload.Header

// mayHold reports whether an address may hold an attack: it does not without an
// escape, a quote or a bracket.
func mayHold(raw []byte) bool {
	return bytes.IndexByte(raw, '%') >= 0 || bytes.IndexByte(raw, '(') >= 0
}

// hasBrace reports whether a column may hold a '{', without which there is no look-up
// and no shell function. CloudFront escapes it, and clients may have before: then there is
// a "7B" in it, in either case.
func hasBrace(raw []byte) bool {
	if bytes.IndexByte(raw, '{') >= 0 {
		return true
	}
	const word, group = 8, 32
	n, at := len(raw), 0
	if n <= word {
		return hasPair(raw)
	}
	for ; at < n-group; at += group {
		b := (*[group + 1]byte)(raw[at:])
		if pairs(b[0:9])|pairs(b[8:17])|pairs(b[16:25])|pairs(b[24:33]) != 0 {
			return true
		}
	}
	for ; at < n-1; at += word {
		from := min(at, n-1-word) // the last overlaps the one before
		if pairs(raw[from:from+word+1]) != 0 {
			return true
		}
	}
	return false
}

// pairs returns 0 if nine bytes hold no "7B", in either case.
func pairs(b []byte) uint64 {
	const every, high = 0x0101010101010101, 0x8080808080808080
	w := binary.LittleEndian.Uint64(b) ^ '7'*every | (binary.LittleEndian.Uint64(b[1:])^'b'*every)&^(0x20*every)
	return (w - every) &^ w & high
}

func hasPair(b []byte) bool {
	for i := 1; i < len(b); i++ {
		if b[i-1] == '7' && b[i]|0x20 == 'b' {
			return true
		}
	}
	return false
}

// translation says which facts follow from what path or query hold.
var translation = [...]struct {
	finding payload.Finding
	fact    uint64
}{
	{payload.SQL | payload.NoSQL, hasSQL},
	{payload.Script, hasScript},
	{payload.Traversal | payload.NullByte, hasTraversal},
	{payload.Command | payload.Code, hasCommand},
	{payload.Template, hasTemplate},
	{payload.Lookup, hasLookup},
	{payload.Header, hasSplit},
	{payload.Internal, hasSSRF},
}
