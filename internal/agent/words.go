package agent

import (
	"slices"

	"weir/internal/match"
)

// words is all that is looked for in a user agent.
var words = newLexicon(slices.Concat(
	kindNeedles(), productNeedles(), crawlerNeedles(),
))

func list(kind Kind, edge match.Edge, texts ...string) []needle {
	needles := make([]needle, len(texts))
	for i, text := range texts {
		needles[i] = needle{text: text, edge: edge, kind: kind}
	}
	return needles
}

// kindNeedles are the names that say what a client is.
func kindNeedles() []needle {
	return slices.Concat(
		// Attack tools. Those that people also use in peace are not here, nor the surveys of
		// the whole internet that say who they are, nor scanners that a site's owner hires.
		list(Tool, match.Word,
			"sqlmap", "nikto", "nessus", "openvas", "acunetix", "netsparker", "invicti", "w3af", "wpscan", "dirbuster", "gobuster", "feroxbuster", "wfuzz", "ffuf", "nuclei", "masscan",
			"zgrab", "zmeu", "jorgee", "havij", "arachni", "skipfish", "whatweb", "joomscan", "commix", "xsser", "sqlninja", "bsqlbf", "webinspect", "appscan", "appspider", "dotdotpwn",
			"fimap", "cmsmap", "droopescan", "muieblackcat", "w00tw00t", "grendel-scan", "morfeus", "brutus", "thc-hydra", "dirsearch", "wapiti", "xspider", "jaeles", "dalfox",
			"xsstrike", "kiterunner", "l9explore", "l9tcpid", "httprobe", "blackwidow", "webshag", "golismero", "ironwasp", "owasp_zap", "sysscan", "zollard", "burpcollaborator", "mirai",
			"interactsh", "log4j-scan", "wprecon", "nosqlmap", "tplmap", "crlfuzz", "subjack", "paros", "whisker", "libwhisker", "nsauditor", "webvulnscan", "vulnscan", "exploit-scanner",
			"betabot", "bfac", "bewica-security-scan", "jbrofuzz", "nettacker", "webbandit", "n-stalker", "tsunamisecurityscanner", "sqliv", "rustbuster", "wpxf",
		),
		list(Tool, match.Anywhere,
			"fuzz faster", "nmap scripting engine", "owasp zap", "toata dragostea", "httpx - open-source project", "wordpress hash grabber", "hello, world", "gbrmss/", "(hydra)", "mozilla/5.g",
		),
		list(Tool|Broken, match.Anywhere, "mozlila", "moziilla", "mozila/", "mozillla"),
		// Names that are words of a language too: there the whole program is meant.
		list(Tool, match.AtStart|match.WordEnd, "vega", "grabber", "dirb", "katana", "patator"),

		list(Library, match.WordStart,
			"curl/", "libcurl", "wget", "aria2", "axios", "python", "go-http-client", "fasthttp", "go-resty", "java/", "java-http-client", "apache-httpclient", "apache-httpasyncclient",
			"jakarta commons", "reactornetty", "ktor", "async-http-client", "akka-http", "asynchttpclient", "ahc/", "jersey", "unirest", "jsoup", "node-fetch", "undici", "node.js", "node-superagent",
			"superagent", "needle/", "got/", "got (", "libwww-perl", "lwp", "perl", "www-mechanize", "mechanize", "guzzlehttp", "php/", "php-", "pycurl", "pecl", "httpful", "symfony", "zend_http", "zend\\http",
			"ruby/", "faraday", "httparty", "rest-client", "typhoeus", "httpclient", "scrapy", "colly", "aiohttp", "httpx", "urllib", "requests", "httpie", "insomnia", "postmanruntime", "bruno", "restsharp",
			"powershell", "windowspowershell", "winhttp", "wininet", "reqwest", "hyper/", "ureq", "isahc", "rust-", "lua-resty", "elixir", "hackney", "clj-http", "http-kit", "boto3", "botocore",
			"aws-sdk", "aws-cli", "minio", "rclone", "k6/", "apachebench", "jmeter", "siege", "wrk", "vegeta", "locust", "fetch/", "http_request", "winhttprequest", "msxml", "libfetch", "lynx", "links (", "w3m", "elinks",
			"http.rb", "dio/", "nutch", "heritrix", "httrack", "teleport", "webcopier", "okhttp-",
		),
		list(Library, match.AtStart|match.WordEnd, "okhttp", "node", "ab", "hey", "fetch", "http", "bun", "deno"),

		list(Headless, match.Anywhere, "headlesschrome", "phantomjs", "slimerjs", "puppeteer", "playwright", "selenium", "webdriver", "cypress", "htmlunit", "zombie.js", "casperjs"),

		list(App, match.WordStart, "cfnetwork/", "dalvik/", "dart/", "alamofire", "expo/", "reactnative", "flutter", "unityplayer", "unity/", "exoplayer", "applecoremedia", "stagefright", "libmpv", "vlc/", "lavf/", "itunes", "podcast"),
		list(App, match.Anywhere, " okhttp/", ") okhttp", "; ios ", "; ipados ", "(ios ", "; scale/"), // behind the app's own name

		list(WebView, match.Anywhere, "; wv)", "fban/", "fbav/", "fb_iab", "[fb", "instagram ", "micromessenger", "kakaotalk", "naver(inapp", "musical_ly", "bytedancewebview", "bytelocale", "trill_", "snapchat",
			"[pinterest/", "linkedinapp", "twitter for", "gsa/", "electron/", "duckduckgo/", "ddg/", "barcelona ", "messengerlite", "cordova", "capacitor", "webview", "whatsapp/", "bingsapp", "bingweb", "yjapp", "ms-office", "msoffice",
			"thunderbird/", "outlook", "teams/", "slack_", "slack/", "discord/", "steam", "valve", "opera mini", "opera mobi", "ucbrowser", "puffin/", "cloudbrowser", "silk-accelerated", "mobicip",
			"teslabrowser", "obigo", "netfront", "kindle", "nook"),

		list(WebView, match.WordStart, "line/"),

		list(Bot, match.Anywhere, "bot/", "bot (", "-bot", "_bot", "crawler", "spider", "+http://", "+https://", "slurp", "archiver", "validator", "scraper", "feedfetcher", "feed", "rss", "link preview", "checker", "monitor", "uptime"),
	)
}

// productNeedles are the names that browsers are made of.
func productNeedles() []needle {
	named := func(p product, edge match.Edge, texts ...string) (needles []needle) {
		for _, text := range texts {
			needles = append(needles, needle{text: text, edge: edge, product: p})
		}
		return needles
	}
	marked := func(m mark, texts ...string) (needles []needle) {
		for _, text := range texts {
			needles = append(needles, needle{text: text, marks: m})
		}
		return needles
	}
	return slices.Concat(
		named(mozilla, match.WordStart, "mozilla/"),
		named(appleWebKit, match.WordStart, "applewebkit/"),
		named(chrome, match.WordStart, "chrome/", "chromium/"),
		named(edg, match.WordStart, "edg/", "edge/", "edga/"),
		named(opr, match.WordStart, "opr/"),
		named(presto, match.AtStart, "opera/"),
		named(samsung, match.WordStart, "samsungbrowser/"),
		named(firefox, match.WordStart, "firefox/"),
		named(revision, match.WordStart, "rv:"),
		named(version, match.WordStart, "version/"),
		named(safari, match.WordStart, "safari/"),
		named(iosShell, match.WordStart, "crios/", "fxios/", "edgios/", "opios/", "opt/", "focus/"),
		named(msie, match.WordStart, "msie "),
		named(trident, match.WordStart, "trident/"),
		marked(embedded, "smarttv", "smart-tv", "tizen", "web0s", "webos", "netcast", "hbbtv", "crkey", "playstation", "nintendo", "xbox", "roku", "bravia", "googletv", "android tv", "; aft", "kaios", "tesla/", "tv;", "appletv"),
		marked(niche, "goanna/", "palemoon/", "seamonkey/", "waterfox", "basilisk", "k-meleon", "iceape", "iceweasel", "konqueror", "falkon", "epiphany", "midori", "qtwebengine", "qutebrowser", "maxthon",
			"qqbrowser", "mqqbrowser", "metasr", "360se", "360ee", "lbbrowser", "2345explorer", "miuibrowser", "baidubrowser", "baiduboxapp", "yabrowser", "whale/", "coc_coc", "sleipnir", "avant", "avast", "avg/", "ccleaner",
			"servo", "ladybird", "netsurf", "dillo", "presearch", "klar/", "rocket/", "mypal", "torbrowser", "otter/"),
	)
}
