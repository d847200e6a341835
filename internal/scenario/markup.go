package scenario

import "bytes"

// holdsMarkup reports whether a decoded text, in lower case, holds script that a
// browser would run if a page repeated it. Tags alone are harmless and common in
// text that people write ("<b>", "<3"): there must be something that runs.
func holdsMarkup(text []byte) bool {
	for rest := text; ; {
		i := bytes.IndexByte(rest, '<')
		if i < 0 {
			break
		}
		rest = rest[i+1:]
		if runs(tag(rest)) {
			return true
		}
	}
	return breaksOut(text) || callsScript(text)
}

// maxTag is how far the end of a tag is looked for.
const maxTag = 1024

// tag returns what stands between a '<' and the end of the tag.
func tag(text []byte) []byte {
	text = text[:min(len(text), maxTag)]
	for i, c := range text {
		if c == '>' || c == '<' {
			return text[:i]
		}
	}
	return text
}

// runs reports whether a tag makes something run.
func runs(tag []byte) bool {
	name := bytes.TrimLeft(tag, "/ \t\r\n\x00\x0b\x0c")
	if len(name) == 0 || !isLetter(name[0]) && name[0] != '!' && name[0] != '?' {
		return false
	}
	if hasPrefix(name, "script") && (len(name) == 6 || !isLetter(name[6])) {
		return true
	}
	return hasHandler(name) || hasScriptURL(name) || bytes.Contains(name, []byte("srcdoc"))
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' }

// hasHandler finds an event handler: a separator, "on" and three or more letters, and '='.
func hasHandler(tag []byte) bool {
	for i := 1; i+5 < len(tag); i++ {
		if tag[i] != 'o' || tag[i+1] != 'n' || !isSeparator(tag[i-1]) {
			continue
		}
		end := skip(tag, i+2, isLetter)
		if end-i >= 5 && at(tag, skip(tag, end, isBlank)) == '=' {
			return true
		}
	}
	return false
}

func isBlank(c byte) bool     { return c <= ' ' }
func isSeparator(c byte) bool { return c <= ' ' || c == '/' || c == '"' || c == '\'' || c == '`' }

// hasScriptURL finds an attribute that holds a script's address.
func hasScriptURL(tag []byte) bool {
	for _, scheme := range [...]string{"javascript:", "vbscript:", "data:text/html", "data:image/svg"} {
		i := bytes.Index(tag, []byte(scheme))
		if i > 0 && bytes.IndexByte(tag[:i], '=') >= 0 {
			return true
		}
	}
	return false
}

// breaksOut finds the end of an attribute's value with a handler behind it.
func breaksOut(text []byte) bool {
	for i, c := range text {
		if c != '"' && c != '\'' {
			continue
		}
		j := skip(text, i+1, func(c byte) bool { return c <= ' ' || c == '/' })
		if at(text, j) == 'o' && at(text, j+1) == 'n' {
			end := skip(text, j+2, isLetter)
			if end-j >= 5 && end-j <= 24 && at(text, skip(text, end, isBlank)) == '=' {
				return true
			}
		}
	}
	return false
}

// callsScript finds a call that breaks out of a string or a block, and a script's
// address that is nothing else.
func callsScript(text []byte) bool {
	for _, call := range [...]string{"alert", "confirm", "prompt", "eval", "document.cookie", "document.domain", "document.location", "document.write", "window.location", "string.fromcharcode"} {
		for from := 0; ; {
			i := bytes.Index(text[from:], []byte(call))
			if i < 0 {
				break
			}
			i += from
			from = i + len(call)
			opens := at(text, from) == '(' || at(text, from) == '`' || call[0] == 'd' || call[0] == 'w'
			if opens && isBreak(text[:i]) {
				return true
			}
		}
	}
	if _, code, ok := bytes.Cut(text, []byte("javascript:")); ok {
		code = bytes.TrimLeft(code, "/* \t\r\n")
		end := skip(code, 0, func(c byte) bool { return isWord(c) || c == '.' })
		return end > 0 && (at(code, end) == '(' || at(code, end) == '`' || at(code, end) == '=')
	}
	return false
}

// isBreak reports whether what stands before a call ends a string or a block: a
// quote, with operators behind it, or a bracket or semicolon.
func isBreak(before []byte) bool {
	before = bytes.TrimRight(before, " \t\r\n")
	if len(before) == 0 {
		return false
	}
	switch before[len(before)-1] {
	case '\'', '"', ';', '}', '>', '`':
		return true
	case '-', '+', '*', '/', '|', '&', '^':
		before = bytes.TrimRight(before, "-+*/|&^ ")
		return len(before) > 0 && (before[len(before)-1] == '\'' || before[len(before)-1] == '"' || before[len(before)-1] == '`')
	}
	return false
}
