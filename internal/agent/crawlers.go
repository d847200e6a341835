package agent

import (
	"slices"

	"weir/internal/match"
)

// Crawler is an operator's kind of client that the directory knows: a search engine's
// crawler, a service that previews links or fetches a page because somebody asked it to,
// a monitor. 0 is none.
type Crawler uint8

// String returns a short name in lower case, such as "googlebot"; "" for none.
func (c Crawler) String() string {
	if c == 0 || int(c) > len(crawlers) {
		return ""
	}
	return crawlers[c-1].name
}

// Class returns what the crawler is for; 0 for none.
func (c Crawler) Class() Class {
	if c == 0 || int(c) > len(crawlers) {
		return 0
	}
	return crawlers[c-1].class
}

// Class is what a crawler is for.
type Class uint8

const (
	Search    Class = iota + 1 // a search engine, or a model's training: many pages, dead links
	Analytics                  // of links and rankings, for others than the site's owner
	Preview                    // one page at a time, because somebody shared or opened it
	Monitor                    // one page again and again, because the site's owner asked for it
	Archive
)

// A crawler is what is known of one.
type crawler struct {
	name  string
	class Class
	words []string // of its user agent, at the start of a word, in lower case

	// What it calls from. A client that fits none of it is an impostor only where the
	// crawler is known to call from nowhere else: exact, bound, or domains.
	lists   []string // names of publishers
	exact   bool     // it calls from its lists alone, as its operator says: true of lists just fetched
	steady  bool     // with exact: the lists change so rarely that it is true of those built in too
	asns    []uint32
	shared  bool     // others rent addresses in these networks, so that they prove nothing
	bound   bool     // it calls from these networks alone
	domains []string // its addresses have names in these, and the names have the addresses
}

// crawlers are in this order: of those that a user agent names, the first is meant. So
// those that name others, to be let in like them, come before these.
var crawlers = []crawler{
	// These fetch from the user's own device or from anywhere, in Facebook's name.
	{name: "apple-messages", class: Preview, words: []string{"facebot twitterbot"}},
	{name: "kakaotalk-scrap", class: Preview, words: []string{"kakaotalk-scrap"}},
	{name: "line-poker", class: Preview, words: []string{"line-poker"}},
	{name: "whatsapp", class: Preview, words: []string{"whatsapp/"}},
	{name: "telegrambot", class: Preview, words: []string{"telegrambot"}, asns: []uint32{62041, 62014, 59930, 44907, 211157}},

	{
		name: "googlebot", class: Search, words: []string{"googlebot", "google-inspectiontool", "googleother", "storebot-google", "google-cloudvertexbot"},
		lists: []string{"googlebot"}, exact: true, steady: true, asns: []uint32{15169}, domains: []string{"googlebot.com"},
	},
	{
		name: "google-special", class: Search, words: []string{"adsbot-google", "mediapartners-google", "apis-google", "google-safety", "duplexweb-google"},
		lists: []string{"google-special"}, asns: []uint32{15169}, bound: true, domains: []string{"google.com"},
	},
	{
		name: "google-fetch", class: Preview, words: []string{
			"google-read-aloud", "google-speakr", "feedfetcher-google", "google-site-verification", "googleproducer", "google-notebooklm", "googlemessages", "google-pagerenderer",
			"googleimageproxy", "google web preview", "google favicon", "google-pinpoint", "google-agent",
		},
		lists: []string{"google-fetch"}, asns: []uint32{15169}, domains: []string{"google.com", "gae.googleusercontent.com"},
	},

	{name: "bingbot", class: Search, words: []string{"bingbot"}, lists: []string{"bingbot"}, exact: true, steady: true, asns: []uint32{8075}, shared: true, domains: []string{"search.msn.com"}},
	{name: "bing-other", class: Search, words: []string{"bingpreview", "adidxbot", "microsoftpreview", "msnbot"}, lists: []string{"bingbot"}, asns: []uint32{8075}, shared: true, bound: true, domains: []string{"search.msn.com"}},
	{name: "duckduckbot", class: Search, words: []string{"duckduckbot"}, lists: []string{"duckduckbot"}, exact: true, asns: []uint32{8075}, shared: true},
	{name: "duckassistbot", class: Preview, words: []string{"duckassistbot"}, lists: []string{"duckassistbot"}},
	{name: "applebot", class: Search, words: []string{"applebot"}, lists: []string{"applebot"}, exact: true, steady: true, asns: []uint32{714, 6185}, domains: []string{"applebot.apple.com"}},
	{
		name: "yandex", class: Search, words: []string{
			"yandexbot", "yandexmobilebot", "yandeximages", "yandexvideo", "yandexmedia", "yandexblogs", "yandexfavicons", "yandexwebmaster", "yandexpagechecker", "yandeximageresizer",
			"yandexdirect", "yandexmetrika", "yandexrca", "yandexadditional", "yandexmarket", "yandexaccessibilitybot", "yandexrenderresourcesbot",
		},
		lists: []string{"yandex"}, asns: []uint32{13238, 208722, 202611}, bound: true, domains: []string{"yandex.com", "yandex.net", "yandex.ru"},
	},
	{name: "baiduspider", class: Search, words: []string{"baiduspider"}, asns: []uint32{55967, 4837, 4134, 4808, 23724, 38365}, shared: true, domains: []string{"baidu.com", "baidu.jp"}},
	{name: "seznambot", class: Search, words: []string{"seznambot"}, asns: []uint32{43037}, bound: true, domains: []string{"seznam.cz"}},
	{name: "yeti", class: Search, words: []string{"yeti/"}, asns: []uint32{23576, 9304, 38661}, domains: []string{"naver.com"}},
	{name: "petalbot", class: Search, words: []string{"petalbot"}, asns: []uint32{136907, 55990}, shared: true, domains: []string{"petalsearch.com", "aspiegel.com"}},
	{name: "sogou", class: Search, words: []string{"sogou web spider", "sogou inst spider", "sogou pic spider"}, domains: []string{"sogou.com"}},
	{name: "coccocbot", class: Search, words: []string{"coccocbot"}, domains: []string{"coccoc.com"}},
	{name: "mojeekbot", class: Search, words: []string{"mojeekbot"}, domains: []string{"mojeek.com"}},
	{name: "qwantbot", class: Search, words: []string{"qwantbot", "qwantify"}, domains: []string{"qwant.com"}},
	{name: "openai", class: Search, words: []string{"gptbot", "oai-searchbot", "chatgpt-user"}, lists: []string{"openai"}, exact: true, asns: []uint32{8075}, shared: true},
	{name: "perplexitybot", class: Search, words: []string{"perplexitybot"}, lists: []string{"perplexity"}, exact: true},
	{name: "perplexity-user", class: Preview, words: []string{"perplexity-user"}, lists: []string{"perplexity-user"}},
	{name: "anthropic", class: Search, words: []string{"claudebot", "claude-user", "claude-searchbot"}},
	{name: "amazonbot", class: Search, words: []string{"amazonbot"}, lists: []string{"amazonbot"}, asns: []uint32{14618, 16509}, shared: true, bound: true, domains: []string{"crawl.amazonbot.amazon"}},
	{name: "ccbot", class: Search, words: []string{"ccbot"}, lists: []string{"ccbot"}, asns: []uint32{14618, 16509}, shared: true, domains: []string{"crawl.commoncrawl.org"}},
	{name: "bytespider", class: Search, words: []string{"bytespider", "tiktokspider"}},
	{name: "archive", class: Archive, words: []string{"archive.org_bot", "ia_archiver"}, asns: []uint32{7941}, domains: []string{"archive.org"}},

	{
		name: "facebook", class: Preview, words: []string{"facebookexternalhit", "facebookcatalog", "facebot", "meta-externalagent", "meta-externalfetcher", "meta-webindexer"},
		lists: []string{"facebook"}, exact: true, steady: true, asns: []uint32{32934}, domains: []string{"fbsv.net", "tfbnw.net"},
	},
	{name: "linkedinbot", class: Preview, words: []string{"linkedinbot"}, asns: []uint32{14413, 20049, 8075}, shared: true, domains: []string{"linkedin.com"}},
	{name: "pinterestbot", class: Preview, words: []string{"pinterestbot", "pinterest/0."}, asns: []uint32{14618, 16509}, shared: true, domains: []string{"pinterest.com"}},
	{name: "twitterbot", class: Preview, words: []string{"twitterbot"}, asns: []uint32{13414, 35995, 63179}, domains: []string{"twttr.com"}},
	{name: "slackbot", class: Preview, words: []string{"slackbot", "slack-imgproxy"}},
	{name: "discordbot", class: Preview, words: []string{"discordbot"}},
	{name: "skypeuripreview", class: Preview, words: []string{"skypeuripreview"}, asns: []uint32{8075}, shared: true},
	{name: "other-preview", class: Preview, words: []string{"redditbot", "embedly", "iframely", "flipboard", "vkshare", "tumblr/", "snap url preview", "yahoomailproxy", "yahoo! slurp", "mastodon/", "misskey/"}},

	{name: "ahrefs", class: Analytics, words: []string{"ahrefsbot", "ahrefssiteaudit"}, lists: []string{"ahrefsbot"}, exact: true, domains: []string{"ahrefs.com", "ahrefs.net"}},
	{name: "semrushbot", class: Analytics, words: []string{"semrushbot", "siteauditbot"}, asns: []uint32{209366}, domains: []string{"semrush.com"}},
	{name: "other-analytics", class: Analytics, words: []string{"mj12bot", "dotbot", "rogerbot", "dataforseobot", "serpstatbot", "blexbot", "barkrowler", "screaming frog"}},

	// Monitors get new probes all the time, also in places of their customers' own, and
	// nobody gains by calling himself one. So none of them is an impostor for its address.
	{name: "uptimerobot", class: Monitor, words: []string{"uptimerobot"}, lists: []string{"uptimerobot"}},
	{name: "pingdom", class: Monitor, words: []string{"pingdom"}, lists: []string{"pingdom"}},
	{name: "statuscake", class: Monitor, words: []string{"statuscake"}, lists: []string{"statuscake"}},
	{name: "route53", class: Monitor, words: []string{"amazon-route53-health-check-service"}, asns: []uint32{14618, 16509}, shared: true, bound: true},
	{name: "other-monitor", class: Monitor, words: []string{
		"site24x7", "datadog/synthetics", "better uptime bot", "betterstack", "newrelicpinger", "updown.io", "hetrixtools", "freshping", "uptime.com", "nodeping", "checkly",
		"cloudflare-healthchecks", "googlestackdrivermonitoring", "elb-healthchecker", "grafana", "blackbox-exporter", "blackbox exporter", "uptime-kuma", "zabbix", "check_http", "gtmetrix", "chrome-lighthouse", "w3c_validator",
	}},
}

func crawlerNeedles() []needle {
	var needles []needle
	for i, c := range crawlers {
		for _, text := range c.words {
			needles = append(needles, needle{text: text, edge: match.WordStart, crawler: Crawler(i + 1)})
		}
	}
	return needles
}

// publishers are where lists of ranges come from.
var publishers = []publisher{
	{name: "googlebot", urls: []string{"https://developers.google.com/static/search/apis/ipranges/googlebot.json"}},
	{name: "google-special", urls: []string{"https://developers.google.com/static/search/apis/ipranges/special-crawlers.json"}},
	{name: "google-fetch", urls: []string{
		"https://developers.google.com/static/search/apis/ipranges/user-triggered-fetchers.json",
		"https://developers.google.com/static/search/apis/ipranges/user-triggered-fetchers-google.json",
	}},
	{name: "bingbot", urls: []string{"https://www.bing.com/toolbox/bingbot.json"}},
	{name: "duckduckbot", urls: []string{"https://duckduckgo.com/duckduckbot.json"}},
	{name: "duckassistbot", urls: []string{"https://duckduckgo.com/duckassistbot.json"}},
	{name: "openai", urls: []string{"https://openai.com/gptbot.json", "https://openai.com/searchbot.json", "https://openai.com/chatgpt-user.json"}},
	{name: "perplexity", urls: []string{"https://www.perplexity.com/perplexitybot.json"}},
	{name: "perplexity-user", urls: []string{"https://www.perplexity.com/perplexity-user.json"}},
	{name: "facebook"}, // the routes of AS32934: there is no list to fetch
	{name: "pingdom", urls: []string{"https://my.pingdom.com/probes/ipv4", "https://my.pingdom.com/probes/ipv6"}},
	{name: "statuscake", urls: []string{"https://app.statuscake.com/Workfloor/Locations.php?format=txt"}},
	{name: "applebot", urls: []string{"https://search.developer.apple.com/applebot.json"}},
	// Monitors get new probes all the time, also in places of their customers' own, and
	// nobody gains by calling himself one. So none of them is an impostor for its address.
	{name: "uptimerobot", urls: []string{"https://uptimerobot.com/inc/files/ips/IPv4andIPv6.txt"}},
	{name: "ahrefsbot", urls: []string{"https://api.ahrefs.com/v3/public/crawler-ip-ranges"}},
	{name: "yandex"}, // a page for people
	{name: "amazonbot", urls: []string{"https://developer.amazon.com/amazonbot/ip-addresses/"}},
	{name: "ccbot", urls: []string{"https://index.commoncrawl.org/ccbot.json"}},
}

// A publisher is a list of ranges, and where it is published.
type publisher struct {
	name string
	urls []string // the list is all of them together; none = it cannot be fetched
}

// publisherOf returns the index of a list; -1 if there is none.
func publisherOf(name string) int {
	return slices.IndexFunc(publishers, func(p publisher) bool { return p.name == name })
}
