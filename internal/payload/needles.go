package payload

import (
	"strings"

	"weir/internal/match"
)

// signs is what the automaton finds: proofs, which are findings, and hints after
// which a text is read closer.
type signs uint32

const (
	hintSQL      signs = 1 << (iota + 16)
	hintSQLWords       // words of SQL that need no sign beside them
	hintMarkup
	hintCall // a call of script, which may break out of something
	hintFile
	hintNull
	hintCommand
	hintTemplate
	hintCode
	hintBreak
	hintNoSQL

	proofs  signs = 1<<numFindings - 1
	anyHint       = ^signs(0) &^ proofs
)

func (s signs) finding() Finding { return Finding(s & proofs) }

// needles are looked for in every text that is not plain, in lower case.
var needles = match.New(allNeedles())

type needle = match.Needle[signs]

// needlesOf returns needles of the same meaning.
func needlesOf(s signs, edge match.Edge, texts ...string) []needle {
	needles := make([]needle, len(texts))
	for i, text := range texts {
		needles[i] = needle{Text: text, Flags: s, Edge: edge}
	}
	return needles
}

func allNeedles() (all []needle) {
	for _, group := range [][]needle{sqlHints(), scriptNeedles(), fileNeedles(), codeNeedles(), templateNeedles(), otherNeedles()} {
		all = append(all, group...)
	}
	return all
}

func sqlHints() []needle {
	return append(
		append(needlesOf(hintSQL, match.Word, "union", "select", "and", "xor", "having", "where", "order by", "group by", "insert", "update", "delete", "drop", "exec", "execute", "declare", "shutdown",
			"waitfor", "case", "like", "rlike", "sleep", "benchmark", "pg_sleep", "into", "procedure", "extractvalue", "updatexml", "information_schema", "load_file", "randomblob", "json_keys"),
			needlesOf(hintSQL|hintSQLWords, match.Anywhere, "order by", "group by", "union")...),
		// Keywords that may stand right behind a number, and what ends a quote.
		needlesOf(hintSQL, match.Anywhere, " or", "or ", "or(", "\tor", "\nor", "\ror", "*/or", ")or", "'or", "\"or", "0or", "1or", "union", "0and", "1and", "'and", ")and", "--", "/*", "'#", "' #", "\"#", "||", "&&", "';", "\";", "')", "\")", "'=", "'<", "'>", "' =",
			"'+", "'-", "'*", "'^", "'|", "@@", "0x", "char(", "chr(", "concat", "# ")...,
	)
}

func scriptNeedles() []needle {
	return append(
		needlesOf(hintMarkup, match.Anywhere, "<", "\" on", "' on", "\"on", "'on", "\"\ton", "'\ton", "\"/on", "'/on", "\"\non", "'\non", "` on",
			"onfocus", "onload", "onerror", "onmouse", "onclick", "onkey", "onpointer", "ontoggle", "onanimation", "ontransition", "onblur"),
		needlesOf(hintMarkup|hintCall, match.Anywhere, "script:", "alert(", "alert`", "confirm(", "confirm`", "prompt(", "prompt`", "eval(", "settimeout(", "fetch(", "import(", "print(", "document.cookie", "document.domain", "document.location", "document.write", "window.location", "window[", "string.fromcharcode", "atob(", "['constructor'", "location=", "top[", "self[", "globalthis[")...,
	)
}

func fileNeedles() []needle {
	return append(
		needlesOf(hintFile, match.Anywhere, "..", "etc/", "etc\\", "etc;", "proc/", "var/", "windows", "winnt", "win.ini", "boot.ini", "inf/", "inf\\", ".asa", "inetpub", "sysprep", "apache", "/.ssh", "run/secrets", "root/", "file:", "ftpd.conf", "/users/"),
		append(needlesOf(signs(Traversal), match.Anywhere,
			"\x02php://", "=php://", "php://filter/", "/php://", "\x02phar://", "\x02zip://", "\x02expect://", "expect://id", "\x02zlib://", "\x02compress.zlib://", "\x02glob://", "\x02data://text/plain;base64", "\x02data:text/plain,<?", "\x02data://text/plain,<?", "\x02jar:http",
			"\x02file:///etc/", "\x02file:///proc/", "\x02file:///c:/windows", "\x02file:///c:/boot", "\x02file:///c:/inetpub", "\x02file:/etc/", "file:///etc/passwd", "\x02netdoc:/",
			"..%u2215", "..%c0%af", "..%%35c", "%2e%2e/", "%2e%2e%2f"),
			needle{Text: "\x00", Flags: hintNull})...,
	)
}

// codeNeedles are commands for a shell and code for the server.
func codeNeedles() []needle {
	return append(append(append(
		needlesOf(hintCommand, match.Anywhere, ";", "|", "&", "`", "$(", "\n", "\r", "<(", "cmd", "exec", "command", "powershell"),
		needlesOf(signs(Command), match.Anywhere, "$ifs$", "$ifs/", "/dev/tcp/", "/bin/sh -", "/bin/bash -", "/bin/sh${", "cmd.exe /c", "cmd /c ", "cmd.exe?/c", "powershell -e", "powershell -nop", "powershell -w hidden", "powershell.exe -", "certutil -urlcache", "certutil.exe -urlcache",
			"rm -rf /tmp", "cd /tmp;", "cd /tmp &&", "cd /tmp||", "cd /var/run", "base64 -d|", "base64 -d |", "|base64 -d", "/bin/busybox ")...),
		needlesOf(signs(Code), match.Anywhere,
			"eval(base64_decode", "assert($_", "eval($_", "system($_", "exec($_", "passthru($_", "function\x02call_user_func", "\\think\\", "allow_url_include=", "allow_url_include\x02", "auto_prepend_file=", "auto_prepend_file\x02", "disable_functions\x02", "-d allow_url", "-dallow_url",
			"java.lang.runtime@getruntime", "java.lang.runtime.getruntime(", "java.lang.runtime).getruntime", "getruntime().exec", "t(java.lang", "@java.lang", "new java.lang.processbuilder", "java.lang.processbuilder(", "#_memberaccess", "@ognl.", "#context[", "ognlcontext@", "class.module.classloader", "classloader.resources.context", "classloader.defaultassertion", "class.classloader",
			"(#cmd=", "(#rt=", "xwork.methodaccessor", "com.opensymphony.xwork2.dispatcher", "script:javascript:java.lang", "script:groovy:", "!!javax.script", "!!python/object", "ro0abx", "aced0005",
			"__import__('os').", "__import__(\"os\").", "__import__('subprocess').", "exec(__import__", "eval(__import__", "process.mainmodule.require", "require('child_process').", "require(\"child_process\").", "global.process.", "_$$nd_func$$_", "__proto__[", "__proto__.", "[constructor][prototype]", "[constructor]%5bprototype", "constructor[prototype]", "constructor.prototype.",
			"<!entity ", "xi:include ", "<xsl:value-of", "kernel.open(", "io.popen(", "<%@page", "<%@ page", "<cfexecute", "groovy.lang.groovyshell")...),
		needlesOf(hintCode, match.Anywhere, "<?php", "<?=", "(", ":{s:", ":{i:", "\":0:{")...)
}

func templateNeedles() []needle {
	return append(append(
		needlesOf(hintTemplate, match.Anywhere, "{{", "${", "#{", "<%", "*{", "@{", "{%", "[[", "@("),
		needlesOf(signs(Template), match.Anywhere, "<#assign ", "[#assign ", "#set($", "#set ($", "{php}", "@{[", "{$smarty.", "freemarker.template.utility", "__class__.__mro__", "__class__.__base", ".__subclasses__(", "__init__.__globals__", "{{_self.env", "#{t(", "${t(", "__${")...),
		needlesOf(signs(Lookup), match.Anywhere, "jndi:ldap:/", "jndi:ldaps:/", "jndi:rmi:/", "jndi:dns:/", "jndi:iiop:/", "jndi:corba", "jndi:nis:/", "() { :", "() {:", "(){ :", "(){:;", "() { _;", "() { ignored", "() { x;", "() { a;", "() { test;")...,
	)
}

// otherNeedles are line breaks in headers, internal addresses and operators of
// document stores.
func otherNeedles() []needle {
	all := append(
		needlesOf(hintBreak, match.Anywhere, "\r", "\n"),
		append(
			needlesOf(hintNoSQL, match.Anywhere, "[$", "$where", "$func", "{\"$", "{'$"),
			needlesOf(signs(Internal), match.Anywhere, "//169.254.169.254", "//169.254.170.2", "//metadata.google.internal", "//100.100.100.200/", "//[fd00:ec2::254]", "gopher://", "\x02dict://", "\x02ldap://", "\x02tftp://", "=gopher:", "kubernetes.default.svc/", "autodiscover.json?@")...)...,
	)
	// What stands for a space between a command and its argument.
	for c := byte('!'); c < 0x7f; c++ {
		if c < 'A' && c != '?' && c != '.' && c != ',' && c != ')' || 'a' <= c && c <= 'z' || c == '\\' {
			all = append(all, needle{Text: "${ifs}" + string(rune(c)), Flags: signs(Command)})
		}
	}
	for _, address := range list("ssrf") {
		// Programs in development are sent back to addresses of their own machine.
		own := strings.Contains(address, "127.0.0.1") || strings.Contains(address, "localhost") || strings.Contains(address, "0.0.0.0") || strings.Contains(address, "[::]") || strings.Contains(address, "[::1]") || strings.Contains(address, "127.127")
		if own || strings.ContainsFunc(address, func(r rune) bool { return r >= 0x80 }) || len(address) < len("http://1.1") {
			continue
		}
		if i := strings.IndexByte(address[min(len(address), len("gopher://")):], '/'); i >= 0 {
			address = address[:len("gopher://")+i]
		}
		all = append(all, needle{Text: "\x02" + address, Flags: signs(Internal), Edge: match.WordEnd})
	}
	return all
}
