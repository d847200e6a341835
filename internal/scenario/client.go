package scenario

import (
	"bytes"

	"weir/internal/agent"
	"weir/internal/cloudfront"
	"weir/internal/match"
	"weir/internal/payload"
)

// client returns what a record says of who sent it.
func (m *Matcher) client(r *cloudfront.Record) uint64 {
	m.who = m.agents.Read(r)
	kind := m.who.Claim.Kind
	var f uint64
	for _, t := range kinds {
		if kind&t.kind != 0 {
			f |= t.fact
		}
	}
	if kind&agent.Known != 0 {
		switch m.agents.Verify(m.who, r) {
		case agent.Genuine:
			f |= isCrawler
		case agent.Impostor:
			f |= isImpostor
		case agent.Unknown:
			// A preview or a monitor asks for one page: that it may be one excuses nothing.
			if class := m.who.Claim.Crawler.Class(); class == agent.Search || class == agent.Analytics || class == agent.Archive {
				f |= isAlleged
			}
		}
	}
	if kind&agent.Browser != 0 && m.who.Contradicts(r) != 0 {
		f |= isContradiction
	}
	signs := m.who.Signs(r)
	if signs&agent.SignCookie != 0 {
		f |= hasCookie
	}
	if signs&agent.SignAuthorization != 0 {
		f |= hasAuth
	}
	if signs&agent.SignReferer != 0 {
		f |= hasReferer
	}
	if signs&agent.SignsKnown != 0 && signs&(agent.SignCookie|agent.SignAuthorization|agent.SignReferer) == 0 {
		f |= isUnattached
	}
	switch {
	case signs&(agent.SignCookie|agent.SignAuthorization|agent.SignReferer|agent.SignFetchMetadata) != 0:
		f |= isFamiliar
	case signs&agent.SignsKnown != 0:
		f |= isStranger
	}
	from := origin(r)
	return f | from | m.claims(r, from)
}

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

// agentVerdicts is how many verdicts on user agents a Matcher keeps: a power of two.
const agentVerdicts = 1024

// claims returns what the headers hold in which a client may claim anything.
func (m *Matcher) claims(r *cloudfront.Record, from uint64) uint64 {
	var f payload.Finding
	var facts uint64
	if raw := r.Raw(cloudfront.FieldCSUserAgent); raw != nil {
		hash := m.who.Agent()
		v := &m.claimed[hash%agentVerdicts]
		if v.hash != hash {
			*v = claimVerdict{hash, m.scanner.UserAgent(raw), m.packager(raw)}
		}
		f = v.finding
		if m.who.Claim.Kind&agent.Browser == 0 {
			facts = v.facts
		}
	}
	// On a page whose own address holds the words, everything that it loads carries
	// them as its referer, in a column of its own and among the headers.
	if from == isExternal {
		if raw := r.Raw(cloudfront.FieldCSReferer); mayHold(raw) {
			f |= m.scanner.Header(raw) & inReferer
		}
	}
	if raw := r.Raw(cloudfront.FieldXForwardedFor); raw != nil && bytes.IndexByte(raw, '%') >= 0 {
		f |= m.scanner.Header(raw)
	}
	for _, field := range [...]cloudfront.Field{cloudfront.FieldCSCookie, cloudfront.FieldCSHeaders} {
		if raw := r.Raw(field); raw != nil && hasBrace(raw) && !(from == isLinked && field == cloudfront.FieldCSHeaders) {
			f |= m.scanner.Header(raw) & payload.Lookup
		}
	}
	if f&payload.Lookup != 0 {
		facts |= hasLookup
	}
	if f != 0 {
		facts |= hasHeaderAttack
	}
	return facts
}

type claimVerdict struct {
	hash    uint64
	finding payload.Finding
	facts   uint64
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
// and no shell function. CloudFront escapes it, and clients may have before.
func hasBrace(raw []byte) bool {
	if bytes.IndexByte(raw, '%') < 0 {
		return bytes.IndexByte(raw, '{') >= 0
	}
	return bytes.Contains(raw, []byte("7B")) || bytes.Contains(raw, []byte("7b")) || bytes.IndexByte(raw, '{') >= 0
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
