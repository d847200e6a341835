package payload

import (
	"bytes"

	"weir/internal/match"
)

// holdsMarkup reports whether a decoded value holds script that a browser would run
// if a page repeated it. Tags alone are harmless and common in text that people
// write ("<b>", "<3"): there must be something that runs.
func holdsMarkup(text []byte, calls bool) bool {
	for from := 0; ; {
		i := bytes.IndexByte(text[from:], '<')
		if i < 0 {
			break
		}
		from += i + 1
		if t := tag(text[from:]); runs(t, text, from) {
			return true
		}
	}
	return breaksOut(text) || calls && (callsScript(text) || isScriptURL(text))
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

// runs reports whether the tag at text[from:] makes something run.
func runs(tag, text []byte, from int) bool {
	slashes := skip(tag, 0, func(c byte) bool { return c == '/' || isBlank(c) })
	name := tag[slashes:]
	if len(name) < 4 || !isLetter(name[0]) && name[0] != '!' && name[0] != '?' {
		return false
	}
	if hasPrefix(name, "script") && (len(name) == 6 || !isLetter(name[6])) {
		return isScript(name[6:], text, from, from+len(tag), slashes > 0)
	}
	if i := bytes.IndexByte(name, ':'); i > 0 && i < 12 && hasPrefix(name[i+1:], "script") && bytes.IndexByte(name, '=') > 0 {
		return true // <x:script xmlns:x=...
	}
	return hasHandler(name) || hasScriptURL(name) || bytes.Contains(name, []byte("srcdoc=")) || hasPrefix(name, "meta") && bytes.Contains(name, []byte("refresh"))
}

// isScript takes the rest of a script tag. It is script if it loads something, or has
// code behind it; "the <script> tag" is neither.
func isScript(rest, text []byte, from, end int, closing bool) bool {
	if bytes.IndexByte(rest, '=') >= 0 {
		return true
	}
	before := bytes.TrimRight(text[:from-1], " ")
	if len(before) > 0 && (before[len(before)-1] == '"' || before[len(before)-1] == '\'' || before[len(before)-1] == '>') && !closing && !isProse(text) {
		return true
	}
	if at(text, end) != '>' || closing {
		return false
	}
	code := text[end+1 : min(len(text), end+129)]
	if i := bytes.IndexByte(code, '<'); i >= 0 {
		code = code[:i]
	}
	return bytes.ContainsAny(code, "(=`/[") && at(code, 0) != ' '
}

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

func isSeparator(c byte) bool {
	return c <= ' ' || c == '/' || c == '"' || c == '\'' || c == '`' || c >= 0x7f
}

// hasScriptURL finds an attribute that holds a script's address.
func hasScriptURL(tag []byte) bool {
	for i := range tag {
		if tag[i] != '=' && tag[i] != ';' {
			continue
		}
		value := tag[i+1:]
		value = value[skip(value, 0, func(c byte) bool { return c <= ' ' || c == '"' || c == '\'' || c == '`' }):]
		if spells(value, "javascript:") >= 0 || spells(value, "vbscript:") >= 0 || hasPrefix(value, "data:text/html") || hasPrefix(value, "data:image/svg") || hasPrefix(value, "data:application/x") {
			return true
		}
	}
	return false
}

// spells returns where a word that text begins with ends; browsers pass over line
// breaks and tabs in it. It is -1 if text begins otherwise.
func spells(text []byte, word string) int {
	j := 0
	for i, c := range text {
		switch {
		case c == word[j]:
			if j++; j == len(word) {
				return i + 1
			}
		case c >= ' ' || i > 64:
			return -1
		}
	}
	return -1
}

// isScriptURL reports whether a value is a script's address that does something.
func isScriptURL(text []byte) bool {
	for from := 0; ; {
		i := bytes.IndexByte(text[from:], ':')
		if i < 0 {
			return false
		}
		from += i + 1
		// The word ends at the colon: look for its beginning within a few bytes.
		for start := max(0, from-24); start+11 <= from; start++ {
			if text[start] != 'j' || spells(text[start:], "javascript:") != from-start {
				continue
			}
			code := bytes.TrimLeft(text[from:], "/* \t\r\n%")
			end := skip(code, 0, func(c byte) bool { return match.IsWord(c) || c == '.' })
			word := string(code[:min(end, 8)])
			if end > 0 && (at(code, end) == '(' || at(code, end) == '`' || at(code, end) == '=' || at(code, end) == '[') && word != "void" && word != "history." {
				return true
			}
		}
	}
}

// breaksOut finds the end of an attribute's value with a handler behind it, perhaps
// with other attributes between them.
func breaksOut(text []byte) bool {
	single, double := false, false
	for i, c := range text {
		switch {
		case c == '\'':
			single = !single
		case c == '"':
			double = !double
		case c == '=' && (single || double) && isHandler(text[:i]):
			return true
		}
		if c != '"' && c != '\'' && c != '`' {
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

// isHandler reports whether a text ends with the name of an event handler.
func isHandler(text []byte) bool {
	text = bytes.TrimRight(text, " \t\r\n")
	start := len(text)
	for start > 0 && isLetter(text[start-1]) && len(text)-start < 32 {
		start--
	}
	name := text[start:]
	return len(name) >= 6 && name[0] == 'o' && name[1] == 'n' && start > 0 && isSeparator(text[start-1])
}

// scriptCalls are what attackers call to show that they could.
var scriptCalls = match.New(needlesOf(1, match.WordStart,
	"alert(", "alert`", "confirm(", "confirm`", "prompt(", "prompt`", "eval(", "print(", "settimeout(", "fetch(", "import(", "atob(", "document.cookie", "document.domain", "document.location", "document.write", "window.location", "window[",
	"string.fromcharcode", "['constructor'", "location=", "top[", "self[", "globalthis["))

// callsScript finds a call that breaks out of a string or a block.
func callsScript(text []byte) bool {
	var c match.Cursor
	for range 16 {
		index, ok := scriptCalls.Next(text, &c)
		if !ok {
			return false
		}
		from := c.At() - len(scriptCalls.Needle(index).Text)
		if isBreak(text, from) {
			return true
		}
	}
	return false
}

// isBreak reports whether what stands before a call at text[from:] ends a string or a
// block of script: a quote with operators behind it, or the end of a statement in a
// text that begins or ends like code.
func isBreak(text []byte, from int) bool {
	before := bytes.TrimRight(text[max(0, from-64):from], " \t\r\n")
	before = bytes.TrimRight(bytes.TrimSuffix(before, []byte("window.")), "(!~[ ")
	if len(before) == 0 {
		return false
	}
	last := before[len(before)-1]
	switch last {
	case ';', '}', '{':
		if last == '{' && at(before, len(before)-2) == '$' {
			return true
		}
		quote := bytes.IndexAny(before, "'\"`")
		ended := bytes.Contains(text[from:], []byte("//")) && bytes.ContainsAny(text[from:], ";)")
		return quote >= 0 && !isSentence(text[from:]) && quote+1 < len(before) && bytes.ContainsAny(before[quote+1:quote+2], ";)}]-+*/,:&|^ ") || ended && bytes.Contains(text[from:], []byte(")//"))
	case '-', '+', '*', '/', '|', '&', '^', '%', ',', ':', '?', '=', '<', '>':
		before = bytes.TrimRight(before, "-+*/|&^%,:?=<> (")
		return len(before) > 0 && (before[len(before)-1] == '\'' || before[len(before)-1] == '"' || before[len(before)-1] == '`') && !isAttribute(before)
	}
	return false
}

// isAttribute reports whether the quote at the end of a text only begins what is
// written: x="
func isAttribute(before []byte) bool {
	if len(before) < 2 {
		return false
	}
	c := before[len(before)-2]
	return c == '=' || c == ':' || c == '(' || c == ','
}
