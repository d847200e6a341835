package main

import (
	"fmt"
	"strings"

	"weir/internal/cloudfront"
)

type stuffing struct {
	name   string
	pieces []string
}

// texts are what columns are stuffed with: each is dear to somebody who looks for
// attacks in them.
var texts = []stuffing{
	{"letters", strings.Split("abcdefghijklmnopqrstuvwxyz0123456789", "")},
	{"escapes", escapes("%%%02x", 256)},
	{"escaped escapes", escapes("%%25%02x", 256)},
	{"SQL words", strings.Fields("union+ select+ or+ and+ not+ from+ where+ null, 1, ( ) /**/ order+by+ having+ like+ case+")},
	{"quotes", []string{"'", "\"", "`", "';", "'a", "\"b", "' "}},
	{"../", []string{"../", "..%2f", "a/../", "./", "..\\"}},
	{"brackets", strings.Split("([{<)]}>", "")},
	{"calls", []string{"';alert(", "system(", "<a on", "${a:", ";cat ", "|id|", "{{7*"}},
}

func escapes(format string, n int) (all []string) {
	for c := range n {
		all = append(all, fmt.Sprintf(format, c))
	}
	return all
}

var parameters = []string{"a=1&", "b=x+y&", "c=%20&", "d[]=2&", "e='&"}

// forgeries returns all ways to be dear that are measured.
func forgeries() []forgery {
	url := []cloudfront.Field{cloudfront.FieldCSURIStem}
	var all []forgery
	for _, t := range texts {
		all = append(all, forgery{"8 KB paths: " + t.name, url, func(f *forger, _ int) {
			f.url("/"+f.fill(maxURL-1, t.pieces), "")
		}})
	}
	for _, t := range texts {
		all = append(all, forgery{"8 KB queries: " + t.name, url, func(f *forger, _ int) {
			f.url("/search", "q="+f.fill(maxURL-len("/search?q="), t.pieces))
		}})
	}
	all = append(all, forgery{"8 KB queries: parameters", url, func(f *forger, _ int) {
		f.url("/search", f.fill(maxURL-len("/search?"), parameters))
	}})
	// The longest that fit beside each other into the headers of a request.
	for _, t := range texts {
		all = append(all, forgery{"8 KB user agents: " + t.name, []cloudfront.Field{cloudfront.FieldCSUserAgent}, func(f *forger, _ int) {
			f.set(cloudfront.FieldCSUserAgent, "Mozilla/5.0 ("+f.fill(maxURL, t.pieces))
		}})
	}
	for _, t := range texts {
		all = append(all, forgery{"8 KB referers: " + t.name, []cloudfront.Field{cloudfront.FieldCSReferer}, func(f *forger, _ int) {
			f.set(cloudfront.FieldCSReferer, "https://www.example.com/?"+f.fill(maxURL, t.pieces))
		}})
	}
	return append(all, many...)
}

// many are requests of ordinary length, made so that nothing is remembered of the
// one that helps with the next.
var many = []forgery{
	{"800 B header lists, each in an order of its own", []cloudfront.Field{cloudfront.FieldCSHeaderNames}, func(f *forger, _ int) {
		f.set(cloudfront.FieldCSHeaderNames, f.order())
	}},
	{"path, query, agent and headers never seen before", []cloudfront.Field{cloudfront.FieldCSURIStem, cloudfront.FieldCSUserAgent}, func(f *forger, _ int) {
		f.url("/"+f.word(6)+"/"+f.word(20), f.word(5)+"="+f.word(30))
		f.set(cloudfront.FieldCSUserAgent, "Mozilla/5.0 (X11; Linux x86_64; "+f.word(12)+") AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36")
		f.set(cloudfront.FieldCSHeaderNames, f.order())
		f.set(cloudfront.FieldCSReferer, "https://"+f.word(8)+".example/")
	}},
	{"one client, each path another, none there", []cloudfront.Field{cloudfront.FieldCSURIStem}, func(f *forger, line int) {
		f.set(cloudfront.FieldCIP, "198.51.100.7")
		f.set(cloudfront.FieldSCStatus, "404")
		f.url(fmt.Sprintf("/%s/%d.php", f.word(4), line), "")
	}},
	{"the clients of one /24", []cloudfront.Field{cloudfront.FieldCIP}, func(f *forger, line int) {
		f.set(cloudfront.FieldCIP, fmt.Sprintf("198.51.100.%d", line%256))
	}},
	{"each line from another client", []cloudfront.Field{cloudfront.FieldCIP}, func(f *forger, line int) {
		f.set(cloudfront.FieldCIP, fmt.Sprintf("100.%d.%d.%d", line>>16&0xff, line>>8&0xff, line&0xff))
	}},
	{"each line from another client, in error", []cloudfront.Field{cloudfront.FieldCIP}, func(f *forger, line int) {
		f.set(cloudfront.FieldCIP, fmt.Sprintf("2001:db8:%x:%x::1", line>>16, line&0xffff))
		f.set(cloudfront.FieldSCStatus, "404")
		f.url("/"+f.word(12)+".php", "")
	}},
}
