package traffic

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"
)

// kind is a model of one sort of client.
type kind struct {
	name     string
	attacker bool
	rate     float64 // requests a second, on average: sizes the population of visitors
	address  func(*rand.Rand) netip.Addr
	requests func(*rand.Rand) int // of one client; negative: without end
	agents   []string
	headers  []string
	act      func(*actor, *request) time.Duration
}

// visitors are the innocents, with their share of the population in percent.
var visitors = []struct {
	kind  *kind
	share int
}{
	{&kind{
		name: "browser", rate: 2.4, address: anyAddress, requests: between(40, 160),
		agents: browserAgents, headers: browserHeaders, act: browse,
	}, 62},
	{&kind{
		name: "mobile client", rate: 1.1, address: anyAddress, requests: between(20, 90),
		agents: appAgents, headers: appHeaders, act: useApp,
	}, 30},
	{&kind{
		name: "broken gallery", rate: 3, address: anyAddress, requests: between(20, 60),
		agents: browserAgents, headers: browserHeaders, act: brokenGallery,
	}, 8},
}

// fixedVisitors are innocents of which every mix has one each, from start to
// end: they look guilty by volume or by what they are answered.
var fixedVisitors = []*kind{
	{
		name: "crawler", address: within("66.249.66.0/24"), requests: endless,
		agents:  []string{"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
		headers: []string{"host", "user-agent", "accept", "accept-encoding", "from"}, act: crawl,
	},
	{
		name: "NAT users", address: within("81.2.69.0/24"), requests: endless,
		agents: browserAgents, headers: browserHeaders, act: manyUsers,
	},
	{
		name: "health check", address: within("15.177.0.0/18"), requests: endless,
		agents:  []string{"Amazon-Route53-Health-Check-Service (ref 1a2b3c; report http://amzn.to/1vsZADi)"},
		headers: []string{"Host", "User-Agent", "Connection"}, act: checkHealth,
	},
}

// attackers are the kinds to be found, in the order in which they start.
var attackers = []*kind{
	attacker("scanner", anyAddress, browserAgents, scan),
	attacker("sensitive files", anyAddress, browserAgents, fetchSecrets),
	attacker("injection probe: SQL", anyAddress, browserAgents, injectSQL),
	attacker("injection probe: script", anyAddress, browserAgents, injectScript),
	attacker("injection probe: path", anyAddress, browserAgents, traverse),
	attacker("injection probe: header", anyAddress, browserAgents, injectHeader),
	attacker("brute force", anyAddress, browserAgents, guessPassword),
	attacker("brute force: WordPress", anyAddress, browserAgents, guessWordPress),
	attacker("attack tool", anyAddress, []string{"sqlmap/1.8.4#stable (https://sqlmap.org)", "Mozilla/5.00 (Nikto/2.5.0) (Evasions:None) (Test:Port Check)"}, useTool),
	attacker("flood", anyAddress, []string{"python-requests/2.32.3", "Go-http-client/2.0"}, flood),
	attacker("IPv6 rotation", network6, browserAgents, rotate),
}

func attacker(name string, address func(*rand.Rand) netip.Addr, agents []string, act func(*actor, *request) time.Duration) *kind {
	return &kind{
		name: name, attacker: true, address: address, requests: endless,
		agents: agents, headers: []string{"host", "user-agent", "accept", "accept-encoding"}, act: act,
	}
}

func endless(*rand.Rand) int { return -1 }

func between(low, high int) func(*rand.Rand) int {
	return func(rnd *rand.Rand) int { return low + rnd.IntN(high-low) }
}

// anyAddress picks a public IPv4 address, or one time in five an IPv6 one.
// The blocks hold no documentation, private or special range.
func anyAddress(rnd *rand.Rand) netip.Addr {
	if rnd.IntN(5) == 0 {
		return network6(rnd)
	}
	first := []byte{37, 46, 62, 77, 86, 91, 109, 151, 176, 188}
	return netip.AddrFrom4([4]byte{
		first[rnd.IntN(len(first))], byte(rnd.IntN(256)), byte(rnd.IntN(256)), byte(1 + rnd.IntN(254)),
	})
}

func network6(rnd *rand.Rand) netip.Addr {
	var a [16]byte
	binary.BigEndian.PutUint64(a[:8], rnd.Uint64())
	binary.BigEndian.PutUint64(a[8:], rnd.Uint64())
	a[0], a[1] = 0x2a, 0x02
	return netip.AddrFrom16(a)
}

func within(prefix string) func(*rand.Rand) netip.Addr {
	base := netip.MustParsePrefix(prefix)
	return func(rnd *rand.Rand) netip.Addr {
		a := base.Addr().As4()
		host := rnd.Uint32() >> base.Bits()
		binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])|host)
		return netip.AddrFrom4(a)
	}
}

// places are the countries and networks that clients come from.
var places = []struct {
	country string
	asn     int
}{
	{"DE", 3320},
	{"FR", 3215},
	{"GB", 2856},
	{"US", 7922},
	{"NL", 1136},
	{"PL", 5617},
	{"IT", 3269},
	{"ES", 3352},
	{"BR", 28573},
	{"IN", 55836},
	{"JP", 4713},
	{"SE", 3301},
}

var browserAgents = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.2 Safari/605.1.15",
	"Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Mobile Safari/537.36",
}

var appAgents = []string{
	"ExampleShop/8.4.1 (iOS 19.1; iPhone16,2) Alamofire/5.10.2",
	"ExampleShop/8.4.0 (Android 16; Pixel 9) okhttp/4.12.0",
}

var browserHeaders = []string{
	"host", "sec-ch-ua-platform", "user-agent", "sec-ch-ua", "sec-ch-ua-mobile", "accept", "sec-fetch-site",
	"sec-fetch-mode", "sec-fetch-dest", "referer", "accept-encoding", "accept-language", "cookie", "priority",
}

var appHeaders = []string{"host", "authorization", "accept", "user-agent", "accept-language", "accept-encoding"}
