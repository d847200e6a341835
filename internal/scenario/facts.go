package scenario

// Facts are what Go code finds out about a record, once, so that the filters of the
// built-in scenarios need only ask for it: weir.login && weir.denied. They come in
// two words, of the request and of its answer.

// What was asked for, and by whom.
const (
	isPost uint64 = 1 << iota
	isRead
	isHead
	isOddMethod
	pathStatic
	pathMedia
	pathLogin
	pathToken
	pathLoginForm
	pathWPLogin
	pathXMLRPC
	pathSecret
	pathBackup
	pathShell
	pathAdmin
	pathAPI
	pathHook
	pathExploit
	pathRestricted
	pathCustomary
	hasSQL
	hasScript
	hasTraversal
	hasCommand
	hasTemplate
	hasLookup
	hasSplit
	hasSSRF
	hasHeaderAttack
	isPayload
	isHostile
	isTool
	isLibrary
	saysProgram
	isBrowser
	isNameless
	isOutdated
	isPackager
	isBot
	isCrawler
	isImpostor
	isAlleged
	isApp
	isHeadless
	isBroken
	isContradiction
	hasCookie
	hasAuth
	hasReferer
	isFamiliar
	isStranger
	isUnattached
	isLinked
	isExternal
	isJetpack
	isCacheBuster
	isAuthorQuery
	requestFacts = iota
)

// What was answered. None of these is true of a request that the edge refused
// before the site had a say: see Set.answer.
const (
	wasServed uint64 = 1 << iota
	wasOK
	wasRedirected
	wasRefused
	wasMissing
	wasDenied
	wasFailing
	wasHTML
	wasJSON
	wasPartial
	wasFetched
	wasCheap
	wasKnown
	wasSoftMissing
	wasLoginFailed
	wasLoginOK
	wasLoginWorking
	wasHealthy
	wasHeavy
	wasLarge
	wasBlocked
	answerFacts = iota
)

// A Fact is a name that filters may use, and what it says.
type Fact struct{ Name, Meaning string }

// Facts returns what filters may ask for beside what CrowdSec's may, in the order in
// which it is found out.
func Facts() []Fact {
	list := append([]Fact(nil), factsOfRequest[:]...)
	return append(list, factsOfAnswer[:]...)
}

var factsOfRequest = [requestFacts]Fact{
	{"weir.post", "POST, PUT or PATCH"},
	{"weir.read", "GET or HEAD"},
	{"weir.head", "HEAD"},
	{"weir.odd_method", "a method that neither HTTP nor WebDAV has, or that only tests servers: TRACE, CONNECT"},
	{"weir.static", "the path is that of a part that pages are made of: a picture, style sheet, script, font, film"},
	{"weir.media", "the path is that of a picture, film, sound or font"},
	{"weir.login", "the path is a place to sign in"},
	{"weir.token", "the path is where programs get and renew tokens"},
	{"weir.login_form", "the path ends in the name of a form to sign in"},
	{"weir.wp_login", "the path is WordPress's login form"},
	{"weir.xmlrpc", "the path is WordPress's XML-RPC door"},
	{"weir.secret_path", "the path is that of a file that holds secrets, source code or the server's insides"},
	{"weir.backup_path", "the path is an archive or dump as people leave it behind, and the answer is no archive"},
	{"weir.shell_path", "the path is a web shell by one of its usual names"},
	{"weir.admin_path", "the path is an administrator's interface"},
	{"weir.api_path", "the path is called by programs"},
	{"weir.hook", "the path is where other services report what happened"},
	{"weir.exploit_path", "the path is asked for only by those who exploit one known hole"},
	{"weir.restricted_path", "the path is on the OWASP core rule set's list of files that sites do not mean to serve"},
	{"weir.customary_path", "browsers, systems and crawlers ask for this path of every site"},
	{"weir.sqli", "path or query hold a piece of SQL"},
	{"weir.xss", "path or query hold script that is to run in somebody's browser"},
	{"weir.traversal", "path or query hold a way out of the document root, or a system file"},
	{"weir.command", "path or query hold a command or code for the server to run"},
	{"weir.template", "path or query hold an expression for a template engine to work out"},
	{"weir.lookup", "path, query or a header hold a JNDI look-up or a shell function"},
	{"weir.split", "path or query hold line breaks that would end a header"},
	{"weir.ssrf", "a parameter leads the server to its own network or its cloud's metadata"},
	{"weir.header_attack", "user agent, referer, X-Forwarded-For or cookies hold an attack"},
	{"weir.payload", "path or query hold an attack of any kind"},
	{"weir.hostile", "any of the attacks, or a path that only attackers ask for"},
	{"weir.tool", "the user agent is that of an attack tool"},
	{"weir.library", "the user agent is that of an HTTP library or command-line client"},
	{"weir.program", "the user agent is that of a program, known or not: neither a browser, driven or not, nor an attack tool, nor broken or missing"},
	{"weir.browser", "the user agent is that of a browser"},
	{"weir.nameless", "there is no user agent"},
	{"weir.outdated", "the user agent is that of a browser that nobody has any more"},
	{"weir.packager", "the user agent is that of a package manager, build tool or version control"},
	{"weir.bot", "the user agent says that it is a bot, and whose"},
	{"weir.crawler", "a known crawler, from an address of its own"},
	{"weir.impostor", "calls itself a known crawler, from an address that is not its own"},
	{"weir.alleged", "calls itself a known crawler of many pages, and it cannot be told whether it is"},
	{"weir.app", "the user agent is that of an app, or of a browser inside of one"},
	{"weir.headless", "the user agent is that of a browser that a program drives"},
	{"weir.broken", "no software has this user agent: garbage, or what was misspelt"},
	{"weir.contradiction", "the user agent is a browser's and the headers are not"},
	{"weir.cookie", "sends a cookie"},
	{"weir.auth", "sends credentials in a header"},
	{"weir.referer", "sends a referer"},
	{"weir.familiar", "sends a cookie, credentials, a key or a signature of its own, a referer or headers that only browsers send"},
	{"weir.stranger", "not familiar, where something is logged that could tell"},
	{"weir.unattached", "sends neither a cookie nor credentials, a key or a signature, nor a referer, where something is logged that could tell"},
	{"weir.linked", "comes from a page of the same host: the referer says so, or Sec-Fetch-Site where a page may have kept it back, of a POST, an attack or what was refused"},
	{"weir.external", "comes from a page of another host, likewise"},
	{"weir.jetpack", "XML-RPC of a kind that cannot guess passwords"},
	{"weir.cache_buster", "the query is nothing but a number or a random word, as one that is to miss the cache"},
	{"weir.author_query", "WordPress is asked for an author by number, which tells his name"},
}

var factsOfAnswer = [answerFacts]Fact{
	{"weir.served", "the site answered, whatever it answered: neither the edge nor a firewall refused"},
	{"weir.ok", "200 to 299"},
	{"weir.redirected", "300 to 399, but for 304"},
	{"weir.refused", "400 to 499"},
	{"weir.missing", "400, 403, 404 or 410: not there, or not for everybody"},
	{"weir.denied", "401 or 403"},
	{"weir.failing", "500 to 599"},
	{"weir.html", "the answer is a page"},
	{"weir.json", "the answer is JSON"},
	{"weir.partial", "206 or 304: a part, or what the client already has"},
	{"weir.fetched", "the edge did not have it"},
	{"weir.cheap", "it cost the site nothing"},
	{"weir.known_path", "the path was answered with 2xx within the day before"},
	{"weir.soft_missing", "a page that stands for one that is not there: 2xx by way of an error page, or the same page for every unknown path"},
	{"weir.login_failed", "an attempt to sign in that failed"},
	{"weir.login_ok", "an attempt to sign in that did not fail"},
	{"weir.login_works", "somebody signed in at this path within the five minutes before"},
	{"weir.healthy", "what a client does that uses the site: a page or call that was served, and nothing speaks against it"},
	{"weir.heavy", "the answer took the origin more than a second"},
	{"weir.large", "the answer has a megabyte or more"},
	{"weir.our_block", "the answer is the one that the WAF gives for us"},
}
