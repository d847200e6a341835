package scenario

// agentNeedles are the names of attack tools in a user agent, in lower case.
// Tools that people also use in peace (curl, Python, Go) are not here, nor are
// the surveys of the whole internet that say who they are.
func agentNeedles() []needle {
	return join(
		list(isTool, word,
			"sqlmap", "nikto", "nessus", "openvas", "acunetix", "netsparker", "invicti", "w3af", "wpscan", "dirbuster", "gobuster", "feroxbuster", "wfuzz", "ffuf", "nuclei", "masscan",
			"zgrab", "zmeu", "jorgee", "havij", "arachni", "skipfish", "whatweb", "joomscan", "commix", "xsser", "sqlninja", "bsqlbf", "webinspect", "appscan", "dotdotpwn",
			"fimap", "cmsmap", "droopescan", "muieblackcat", "w00tw00t", "grendel-scan", "morfeus", "brutus", "thc-hydra", "dirsearch", "wapiti", "xspider", "jaeles", "dalfox",
			"xsstrike", "kiterunner", "l9explore", "l9tcpid", "httprobe", "blackwidow", "webshag", "golismero", "ironwasp", "owasp_zap", "sysscan", "zollard", "burpcollaborator", "mirai",
			"interactsh", "log4j-scan", "wprecon", "nosqlmap", "tplmap", "crlfuzz", "subjack", "paros", "whisker", "nsauditor", "webvulnscan", "vulnscan", "exploit-scanner",
		),
		list(isTool, anywhere,
			"fuzz faster u fool", "nmap scripting engine", "owasp zap", "toata dragostea", "mozlila", "moziilla", "mozila/", "mozillla", "httpx - open-source project",
			"wordpress hash grabber", "hello, world", "gbrmss/", "(hydra)",
		),
		list(isTool, atStart, "vega", "grabber", "dirb", "katana", "patator"),
	)
}

// A crawler is a search engine or preview service that fetches much, follows dead
// links, and must not be banned for it.
type crawler struct {
	name string
	asns []string // the networks that it crawls from; none = anywhere
}

// crawlers are known by a word of their user agent, in lower case. A claim from
// another network than theirs counts for nothing, where the network is logged.
func crawlers() []crawler {
	return []crawler{
		{"googlebot", []string{"15169"}},
		{"google-inspectiontool", []string{"15169"}},
		{"googleother", []string{"15169"}},
		{"adsbot-google", []string{"15169"}},
		{"mediapartners-google", []string{"15169"}},
		{"bingbot", []string{"8075"}},
		{"bingpreview", []string{"8075"}},
		{"adidxbot", []string{"8075"}},
		{"duckduckbot", []string{"8075"}},
		{"applebot", []string{"714", "6185"}},
		{"yandexbot", []string{"13238", "208722", "202611"}},
		{"baiduspider", []string{"55967", "4837", "4134", "4808", "23724", "38365"}},
		{"facebookexternalhit", []string{"32934"}},
		{"meta-externalagent", []string{"32934"}},
		{"linkedinbot", []string{"14413", "8075"}},
		{"pinterestbot", []string{"14618", "16509"}},
		{"twitterbot", []string{"13414", "35995", "63179"}},
		{"amazonbot", []string{"14618", "16509"}},
		{"petalbot", []string{"136907", "55990"}},
		{"seznambot", []string{"43037"}},
		{"yeti/", []string{"23576", "9304", "38661"}},
		{"gptbot", []string{"8075"}},
		{"oai-searchbot", []string{"8075"}},
		{"ia_archiver", []string{"7941", "14618"}},
	}
}

func crawlerNeedles() []needle {
	var needles []needle
	for _, c := range crawlers() {
		needles = append(needles, needle{c.name, hintCrawler, anywhere})
	}
	return needles
}
