package scenario

import "time"

// Catalogue returns the built-in scenarios, sorted by name. The list is the
// caller's own.
//
// Payload scenarios (traversal, sql, xss, command, header) judge the request line,
// and so hold whatever was answered. The others need an answer of the site: what a
// firewall or the edge refuses counts for none of them.
func Catalogue() []Scenario {
	return []Scenario{
		{
			Name:        "http-admin-probing",
			Description: "Looks for interfaces of administrators (phpMyAdmin, consoles, control panels) and is refused or told that there is none. Three different ones within about a minute: those who work with an interface ask for many paths of that one, and may be refused when a session ends.",
			Kind:        Leaky, Capacity: 2, Leak: 30 * time.Second, Blackhole: 5 * time.Minute, Remediation: true,
			match: rule{all: pathAdmin | wasRefused, none: isCrawler}, distinct: distinctTop,
		},
		{
			Name:        "http-backdoor",
			Description: "Looks for web shells by the names under which they are usually left. Two different names within a minute: one may be a file of the site's own, two are a list.",
			Kind:        Leaky, Capacity: 1, Leak: time.Minute, Blackhole: 5 * time.Minute, Remediation: true,
			match: rule{all: pathShell}, distinct: distinctPath,
		},
		{
			Name:        "http-bad-user-agent",
			Description: "Calls itself by the name of an attack tool. The second request within a minute counts, so that one link checked with such a tool is let pass.",
			Kind:        Leaky, Capacity: 1, Leak: time.Minute, Blackhole: 5 * time.Minute, Remediation: true,
			match: rule{all: isTool},
		},
		{
			Name:        "http-command-injection",
			Description: "Sends commands, code or templates for the server to run (shell, PHP, Java, expression languages). Three different requests within minutes: one may be a search in documentation.",
			Kind:        Leaky, Capacity: 2, Leak: 5 * time.Minute, Blackhole: 5 * time.Minute, Remediation: true,
			match: rule{all: hasCommand}, distinct: distinctRequest,
		},
		{
			Name:        "http-crawl",
			Description: "Fetches page after page, each only once, without a cookie, a referer or any header by which a browser is known. More than 60 pages beyond one a second: no reader is that fast, people behind one address have browsers, API clients do not fetch pages, and known crawlers from their own networks are left alone.",
			Kind:        Leaky, Capacity: 60, Leak: time.Second, Blackhole: 5 * time.Minute, Remediation: true,
			match:    rule{all: isRead | wasServed | wasOK | wasHTML, none: pathStatic | pathAPI | isFamiliar | isCrawler},
			distinct: distinctRequest,
		},
		{
			Name:        "http-exploit-path",
			Description: "Asks for a path that only serves to exploit a known hole in one product, and is refused or told that there is no such thing. One such request is enough: nobody comes upon these paths by accident.",
			Kind:        Trigger, Blackhole: 5 * time.Minute, Remediation: true,
			match: rule{all: pathExploit | wasRefused},
		},
		{
			Name:        "http-flood",
			Description: "Sends requests that cost the site something without a cookie, credentials, a referer or any header by which a browser is known: more than 400 beyond 50 a second. Ranges, repeated validations and cached files do not count, and people behind one address have browsers.",
			Kind:        Leaky, Capacity: 400, Leak: 20 * time.Millisecond, Blackhole: time.Minute, Remediation: true,
			match: rule{all: wasServed, none: wasCheap | isFamiliar | isCrawler},
		},
		{
			Name:        "http-flood-any",
			Description: "Sends requests that cost the site something, whatever it says of itself: more than 3000 beyond 250 a second. That is above what the busiest office or mobile gateway asks of one site, and far below what a flood needs to hurt.",
			Kind:        Leaky, Capacity: 3000, Leak: 4 * time.Millisecond, Blackhole: time.Minute, Remediation: true,
			match: rule{all: wasServed, none: wasCheap},
		},
		{
			Name:        "http-header-injection",
			Description: "Sends JNDI look-ups (Log4Shell), shell functions (Shellshock), code or SQL in the user agent, the referer, X-Forwarded-For, the path or the query. The second request within minutes counts, as the words may be searched for once.",
			Kind:        Leaky, Capacity: 1, Leak: 5 * time.Minute, Blackhole: 5 * time.Minute, Remediation: true,
			match: rule{all: hasLookup},
		},
		{
			Name:        "http-login-bruteforce",
			Description: "Is turned away again and again (401, 403) when posting to a place to sign in. More than 8 times beyond one each 15 seconds: people who forgot their password give up earlier, and an app with a stale token asks for a new one once.",
			Kind:        Leaky, Capacity: 8, Leak: 15 * time.Second, Blackhole: 5 * time.Minute, Remediation: true,
			match: rule{all: isPost | pathLogin | wasDenied},
		},
		{
			Name:        "http-path-traversal",
			Description: "Tries to leave the document root or asks for files of the system, in path or query, however they are escaped. Four different requests within minutes: one may be a broken link or a search in documentation.",
			Kind:        Leaky, Capacity: 3, Leak: 5 * time.Minute, Blackhole: 5 * time.Minute, Remediation: true,
			match: rule{all: hasWayOut}, distinct: distinctRequest,
		},
		{
			Name:        "http-probing",
			Description: "Asks for many different paths that are missing or refused (400, 403, 404), as one does who guesses names. More than 10 beyond one each 10 seconds. Missing parts of pages do not count, nor do links from the site's own pages (see http-probing-linked); missing items of one collection count once; known crawlers from their own networks follow old links and are left alone.",
			Kind:        Leaky, Capacity: 10, Leak: 10 * time.Second, Blackhole: 5 * time.Minute, Remediation: true,
			match:    rule{all: wasMissing, none: pathStatic | isLinked | isCrawler},
			distinct: distinctShape,
		},
		{
			Name:        "http-probing-linked",
			Description: "As http-probing, with the site's own pages as referer. That is what a broken page of the site makes of its visitors, so it takes more than 60 different paths beyond one each 2 seconds.",
			Kind:        Leaky, Capacity: 60, Leak: 2 * time.Second, Blackhole: 5 * time.Minute, Remediation: true,
			match:    rule{all: wasMissing | isLinked, none: pathStatic | isCrawler},
			distinct: distinctShape,
		},
		{
			Name:        "http-sensitive-files",
			Description: "Asks for files that hold secrets, source code or the server's insides: settings, keys, version control, dumps. Three different ones within about a minute, whatever is answered: no link leads there. Archives and dumps count only if there are none.",
			Kind:        Leaky, Capacity: 2, Leak: 30 * time.Second, Blackhole: 5 * time.Minute, Remediation: true,
			match: rule{some: pathSecret | pathBackup}, distinct: distinctPath,
		},
		{
			Name:        "http-sqli",
			Description: "Sends pieces of SQL in path or query, known by their structure and not by words that people search for. Four different requests within minutes: a tool needs dozens to find one hole.",
			Kind:        Leaky, Capacity: 3, Leak: 5 * time.Minute, Blackhole: 5 * time.Minute, Remediation: true,
			match: rule{all: hasSQL}, distinct: distinctRequest,
		},
		{
			Name:        "http-wordpress-login",
			Description: "Guesses passwords of WordPress, which answers 200 when one is wrong: posts to the login form or to XML-RPC that are not answered with a redirect. More than 12 beyond one each 10 seconds: the app for phones makes up to ten such calls when it starts. The signed calls of the Jetpack service do not count.",
			Kind:        Leaky, Capacity: 12, Leak: 10 * time.Second, Blackhole: 5 * time.Minute, Remediation: true,
			match: rule{all: isPost | pathWPAuth | wasServed, none: wasRedirected | isJetpack},
		},
		{
			Name:        "http-xss",
			Description: "Sends script that is to run in the browser of somebody else: tags with handlers, script addresses, ends of attributes. Four different requests within minutes: text with tags in it is not enough, and a tool needs dozens.",
			Kind:        Leaky, Capacity: 3, Leak: 5 * time.Minute, Blackhole: 5 * time.Minute, Remediation: true,
			match: rule{all: hasMarkup}, distinct: distinctRequest,
		},
	}
}
