package scenario

// facts is a set of things that are true of a record. A match is a condition on
// it: so the columns are looked at once, however many scenarios there are.
type facts uint64

// What is asked for, and by whom.
const (
	isPost      facts = 1 << iota // POST
	isRead                        // GET or HEAD
	pathStatic                    // a picture, style sheet, script, font, film: what pages are made of
	pathLogin                     // a place to sign in
	pathWPAuth                    // WordPress's login form or its XML-RPC door
	pathSecret                    // a file that holds secrets, source code or the server's insides
	pathBackup                    // an archive or dump as people leave it behind, and the answer is no archive
	pathShell                     // a web shell by one of its usual names
	pathAdmin                     // an administrator's interface
	pathAPI                       // called by programs
	pathExploit                   // asked for only by those who exploit one known hole
	hasWayOut                     // a way out of the document root, or a system file
	hasSQL                        // a piece of SQL
	hasMarkup                     // script that is to run in somebody's browser
	hasCommand                    // a command, code or template for the server to run
	hasLookup                     // a JNDI look-up or the like, anywhere; or an attack in the user agent
	isTool                        // the user agent of an attack tool
	isCrawler                     // a known crawler, from a network of its own
	isFamiliar                    // a cookie, credentials or headers that browsers send and simple clients do not
	isLinked                      // the referer is a page of the same host
	isJetpack                     // XML-RPC of a kind that cannot guess passwords
)

// What was answered. None of these is true of a request that the edge refused
// before the site had a say: see Set.answer.
const (
	wasServed     facts = 1 << (iota + 32) // the site answered, whatever it answered
	wasOK                                  // 200 to 299
	wasRedirected                          // 300 to 399
	wasRefused                             // 400 to 499
	wasMissing                             // 400, 403, 404: not there, or not for everybody
	wasDenied                              // 401, 403: not allowed
	wasHTML                                // a page
	wasJSON                                // JSON
	wasPartial                             // 206 or 304: a range, or what the client already has
	wasFetched                             // the edge did not have it
	wasCheap                               // it cost the site nothing
)

// Where to look closer. These never reach a rule.
const (
	hintSQL     facts = 1 << (iota + 61) // a word or sign of SQL
	hintMarkup                           // what markup and script are made of
	hintCrawler                          // the name of a crawler
)

// conclude adds what follows from several facts.
func (f facts) conclude() facts {
	if f&pathBackup != 0 && f&(wasRefused|wasHTML) == 0 {
		f &^= pathBackup // sites do offer archives
	}
	if f&wasPartial != 0 || f&pathStatic != 0 && f&wasFetched == 0 {
		f |= wasCheap
	}
	return f
}

// A rule is a condition on facts.
type rule struct {
	all  facts // every one of these
	some facts // and, unless empty, at least one of these
	none facts // and none of these
}

func (r rule) holds(f facts) bool {
	return f&r.all == r.all && f&r.none == 0 && (r.some == 0 || f&r.some != 0)
}
