package agent

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"pgregory.net/rapid"
)

func parse(text string) Claim {
	c, _ := Parse([]byte(escape(text)), nil)
	return c
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		agent   string
		kind    Kind
		product Product
		version uint16
		crawler string
	}{
		{"", Empty, 0, 0, ""},
		{"  ", Empty, 0, 0, ""},
		{"-", Empty, 0, 0, ""},

		// browsers
		{chromeAgent, Browser, Chrome, 145, ""},
		{chromeAgent + " Edg/143.0.0.0", Browser, Edge, 143, ""},
		{chromeAgent + " OPR/124.0.0.0", Browser, Opera, 124, ""},
		{"Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0", Browser, Firefox, 142, ""},
		{"Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0", Browser, Firefox, 115, ""},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15", Browser, Safari, 18, ""},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1", Browser, Safari, 18, ""},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0.0.0 Mobile/15E148 Safari/604.1", Browser, Safari, 0, ""},
		{"Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36", Browser, Samsung, 27, ""},
		{"Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko", Browser, Explorer, 0, ""},
		{"Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/7.0)", Browser, Explorer, 7, ""},
		{"Mozilla/5.0 (SMART-TV; Linux; Tizen 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Version/5.0 TV Safari/537.36", Browser, Safari, 0, ""},
		{"Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/38.0.2125.122 Safari/537.36", Browser, Chrome, 0, ""},
		{"Mozilla/5.0 (Windows NT 10.0; rv:68.0) Goanna/6.7 Firefox/68.0 PaleMoon/33.3", Browser, Firefox, 0, ""},
		{"Mozilla/5.0 (Linux; Android 9; CUBOT_NOTE_20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36", Browser, Chrome, 120, ""},

		{"Box/3 Mozilla/5.0 (X11; Linux armv7l) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/90.0.4430.212 Safari/537.36", Browser, Chrome, 90, ""},

		// outdated, broken
		{"Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)", Browser | Outdated, Explorer, 6, ""},
		{"Mozilla/5.0 (Windows NT 6.1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/27.0.1453.93 Safari/537.36", Browser | Outdated, Chrome, 27, ""},
		{"Mozilla/5.0 (Windows NT 6.1; rv:6.0) Gecko/20100101 Firefox/6.0", Browser | Outdated, Firefox, 6, ""},
		{"Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/534.50 (KHTML, like Gecko) Chrome/96.0.4664.93 Safari/537.36", Browser | Broken, Chrome, 96, ""},
		{"Mozilla/5.0 (X11; Linux x86_64; rv:102.0) Gecko/20100101 Firefox/142.0", Browser | Broken, Firefox, 142, ""},
		{"mozilla/5.0 (windows nt 10.0) applewebkit/537.36 (khtml, like gecko) chrome/120.0 safari/537.36", Browser | Broken, Chrome, 120, ""},
		{"Mozlila/5.0 (Linux; Android 7.0)", Tool | Broken, 0, 0, ""},
		{"Mozzila/5.0 (X11)", Broken, 0, 0, ""},
		{"Moziilla/5.0", Tool | Broken, 0, 0, ""},
		{"User-Agent: Mozilla/5.0 (X11; Linux x86_64)", Broken, 0, 0, ""},
		{"${jndi:ldap://x/a}", Broken, 0, 0, ""},
		{"() { :; }; /bin/bash", 0, 0, 0, ""},
		{"a\x01b", Broken, 0, 0, ""},
		{"Mozilla/5.0", 0, 0, 0, ""},
		{"Monzilla's Reader/1", 0, 0, 0, ""},

		// programs
		{"sqlmap/1.8#stable (https://sqlmap.org)", Tool, 0, 0, ""},
		{"Mozilla/5.0 (Nikto/2.5.0)", Tool, 0, 0, ""},
		{"Nuclei - Open-source project (github.com/projectdiscovery/nuclei)", Tool, 0, 0, ""},
		{"WPScan v3.8.22 (https://wpscan.com/wordpress-security-scanner)", Tool, 0, 0, ""},
		{"Vegan-Recipes/2", 0, 0, 0, ""},
		{"curl/8.5.0", Library, 0, 0, ""},
		{"python-requests/2.32.4", Library, 0, 0, ""},
		{"Go-http-client/1.1", Library, 0, 0, ""},
		{"okhttp/4.12.0", Library, 0, 0, ""},
		{"Java-http-client/21.0.0", Library, 0, 0, ""},
		{"axios/1.7.0", Library, 0, 0, ""},
		{"GuzzleHttp/7", Library, 0, 0, ""},
		{"libwww-perl/6.67", Library, 0, 0, ""},
		{"node", Library, 0, 0, ""},
		{"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.0.0 Safari/537.36", Headless, 0, 0, ""},
		{"ShopApp/5.8 (Android 14; Pixel 8; Build/AP2A) okhttp/4.12.0", App, 0, 0, ""},
		{"ExampleApp/5.1.0 (iPhone; iOS 18.5; Scale/3.00)", App, 0, 0, ""},
		{"ShopApp/512 CFNetwork/1568.100.1 Darwin/24.0.0", App, 0, 0, ""},
		{"Dart/3.5 (dart:io)", App, 0, 0, ""},

		// web views
		{"Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/140.0.0.0 Mobile Safari/537.36", WebView, 0, 0, ""},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148", WebView, 0, 0, ""},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)", WebView, 0, 0, ""},
		{"Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/29.3709; U; en) Presto/2.8.119 Version/11.10", WebView, 0, 0, ""},

		// crawlers
		{"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", Bot | Known, 0, 0, "googlebot"},
		{"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.7339.80 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", Bot | Known, 0, 0, "googlebot"},
		{"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36", Bot | Known, 0, 0, "bingbot"},
		{"Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", Bot | Known, 0, 0, "google-fetch"},
		{"facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", Bot | Known, 0, 0, "facebook"},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0", Bot | Known, 0, 0, "apple-messages"},
		{"facebookexternalhit/1.1; kakaotalk-scrap/1.0; +https://devtalk.kakao.com/t/scrap/33984", WebView | Bot | Known, 0, 0, "kakaotalk-scrap"},
		{"TelegramBot (like TwitterBot)", Bot | Known, 0, 0, "telegrambot"},
		{"Mozilla/5.0 (compatible; NewSearch/1.0; like Googlebot)", 0, 0, 0, ""},
		{"SomeShop feed reader (+https://example.com/bot)", Bot, 0, 0, ""},
		{"StatusCake", Bot | Known, 0, 0, "statuscake"},
	} {
		got := parse(c.agent)
		if got.Kind != c.kind || got.Product != c.product || got.Version != c.version || got.Crawler.String() != c.crawler {
			t.Errorf("%q:\n got %s, product %v, version %d, %q\nwant %s, product %v, version %d, %q", c.agent,
				got.Kind, got.Product, got.Version, got.Crawler, c.kind, c.product, c.version, c.crawler)
		}
	}
}

// TestCoreRuleSet: what the Core Rule Set takes for a scanner is a tool here, but for those
// that a site's owner hires or that survey the whole internet.
func TestCoreRuleSet(t *testing.T) {
	text, err := fs.ReadFile(coreruleset.FS, "@owasp_crs/scanners-user-agents.data")
	if err != nil {
		t.Fatal(err)
	}
	peaceful := []string{"Detectify", "hexometer", "netlab360", "nmap", "qualysguard", "securityagent", "sitelockspider"}
	listed := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		listed++
		if got := parse(line).Kind&Tool != 0; got == slices.Contains(peaceful, line) {
			t.Errorf("%q is a tool: %v", line, got)
		}
	}
	if listed < 50 {
		t.Errorf("only %d in the list", listed)
	}
}

// TestParseReadsTheStart: of a long user agent, what stands behind the first 256 bytes
// changes nothing.
func TestParseReadsTheStart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.StringMatching(`[a-zA-Z0-9 /;().]{1,40}`).Draw(t, "start") + strings.Repeat("x", agentHead)
		a, _ := Parse([]byte(start[:agentHead]+strings.Repeat("y", agentWhole)), nil)
		b, _ := Parse([]byte(start[:agentHead]+strings.Repeat("sqlmap ", agentWhole)+rapid.String().Draw(t, "rest")), nil)
		if a != b {
			t.Errorf("%v and %v", a, b)
		}
	})
}

// TestModern: only browsers are, and only from the version on that sends fetch metadata.
func TestModern(t *testing.T) {
	for _, c := range []struct {
		claim Claim
		want  bool
	}{
		{Claim{Kind: Browser, Product: Chrome, Version: 88}, false},
		{Claim{Kind: Browser, Product: Chrome, Version: 89}, true},
		{Claim{Kind: Browser, Product: Firefox, Version: 89}, false},
		{Claim{Kind: Browser, Product: Firefox, Version: 90}, true},
		{Claim{Kind: Browser, Product: Safari, Version: 16}, false},
		{Claim{Kind: Browser, Product: Safari, Version: 17}, true},
		{Claim{Kind: Browser, Product: Explorer, Version: 111}, false},
		{Claim{Kind: WebView, Product: Chrome, Version: 145}, false},
		{Claim{}, false},
	} {
		if got := c.claim.Modern(); got != c.want {
			t.Errorf("%v: %v", c.claim, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{chromeAgent, "Googlebot/2.1", "sqlmap", "%2525%2541", "\\x41", "%", "", "-", "rv:", "msie "} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, column []byte) {
		c, scratch := Parse(column, nil)
		if again, _ := Parse(column, scratch); again != c {
			t.Errorf("%v, then %v", c, again)
		}
		if (c.Kind&Known != 0) != (c.Crawler != 0) || c.Kind&Known != 0 && c.Kind&Bot == 0 {
			t.Errorf("%s with crawler %q", c.Kind, c.Crawler)
		}
		if c.Kind&Browser != 0 && c.Kind&(notBrowser|Empty) != 0 || (c.Product != 0) != (c.Kind&Browser != 0) {
			t.Errorf("%s, product %v", c.Kind, c.Product)
		}
	})
}
