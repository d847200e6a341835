package payload

import (
	"bytes"

	"weir/internal/match"
)

// How far an expression is read, and how many in a value.
const (
	maxExpression  = 256
	maxExpressions = 8
)

// expressions returns what the brackets of template engines in a value hold. Most
// are innocent: names that a site's own page failed to fill in ({{item.image}}).
func expressions(value []byte) (found Finding) {
	read := 0
	for i := 0; i+2 < len(value) && read < maxExpressions; i++ {
		c, next := value[i], value[i+1]
		var closer byte
		switch {
		case next == '{' && (c == '{' || c == '$' || c == '#' || c == '*' || c == '@'):
			closer = '}'
		case c == '<' && next == '%' || c == '{' && next == '%':
			closer = '%'
		case c == '[' && next == '[':
			closer = ']'
		case c == '@' && next == '(':
			closer = ')'
		case c == '{' && isDigit(next) && i > 0 && value[i-1] != '{':
			closer = '}'
		default:
			continue
		}
		read++
		inner := value[i+2 : min(len(value), i+2+maxExpression)]
		if c == '{' && isDigit(next) {
			inner = value[i+1 : min(len(value), i+1+maxExpression)]
		}
		if c == '$' && looksUp(value[i:]) {
			found |= Lookup
		}
		if end := bytes.IndexByte(inner, closer); end >= 0 && isProbe(inner[:end]) {
			found |= Template
		}
		if read == 1 && engineWords.Find(value[i+2:min(len(value), i+2+2*maxExpression)]) != 0 {
			found |= Template
		}
	}
	return found
}

// isProbe reports whether an expression is a sum: {{7*7}}. Whoever sends it looks
// whether the answer says 49.
func isProbe(inner []byte) bool {
	numbers, times, digits := 0, 0, false
	for _, c := range bytes.TrimLeft(inner, "={ ") {
		switch {
		case isDigit(c):
			if !digits {
				numbers++
			}
			digits = true
			continue
		case c == '*' || c == '+' || c == '/' || c == '-':
			times++
		case c != ' ' && c != '\'' && c != '"' && c != '(' && c != ')' && c != '{' && c != '[' && c != ']':
			return false
		}
		digits = false
	}
	return numbers >= 2 && times >= 1
}

// engineWords are what an expression has that reaches for what lies under a
// template engine, and no page's own expression has.
var engineWords = match.New(needlesOf(1, match.Anywhere,
	"__class__", "__globals__", "__mro", "__subclasses", "__builtins", "__import__", "__init__", "config.items", "config.__", "config['", "config.from_", "self.__", "self._tem", "_self.env", "_self.", "constructor.constructor", "constructor('", "constructor(\"", "['constructor']", ".constructor.",
	"getclass(", ".class.", ".class.for", "getruntime", "processbuilder", "t(java", "new java", "java.lang.", ".exec(", ".eval(", "system(", "'system'", "\"system\"", "|system", "passthru", "process.env", "process.main", "require(", "lipsum.", "cycler.", "joiner.", "request.application", "request|attr", "|attr(",
	"@java.", "@ognl", "#context", "_memberaccess", "freemarker", "readfile(", "file.open", "file.read(", "%x(", "`id`", "`ls", "io.popen", "#rt", "dump(app", "app.request.server", "scriptengine", "classloader", "getflashes", "filter('sys", "map('sys", "map(\"sys", "sort('sys", "|filter('", "|map('", "print(7", "phpinfo(", "url_for.__", "get_flashed_messages.__", "namespace.__", "settings.secret", "pagecontext",
	"$on.constructor", "$eval", "tostring().constructor", "alert(", "alert`", "dumpheap", "sessionscope", "applicationscope", "faccontext", "facescontext"))

// looksUp reports whether the "${" at the beginning of a text is a look-up of JNDI,
// however disguised: ${${lower:j}ndi:..., ${${::-j}${::-n}di:... It evaluates the
// text as Log4j does: what a nested expression stands for is its default or the
// text that it changes the case of.
func looksUp(text []byte) bool {
	const most = 192
	var plain [most]byte
	var open [16]int // where in plain the expressions begin that are not closed
	size, depth, nested := 0, 0, 0
	for i := 0; i < len(text) && size < most; i++ {
		switch c := text[i]; {
		case c == '$' && at(text, i+1) == '{':
			if depth == len(open) {
				return true // nobody nests as deep who does not hide something
			}
			if depth > 0 {
				nested++
			}
			open[depth] = size
			depth++
			i++
		case c == '}' && depth > 0:
			depth--
			from := open[depth]
			if isLookup(plain[from:size]) {
				return true
			}
			size = from + copy(plain[from:], meant(plain[from:size]))
			if depth == 0 {
				i = len(text)
			}
		case c == nextValue: // part of what is looked up
			plain[size] = '='
			size++
		default:
			plain[size] = c
			size++
		}
	}
	// It may have been cut off.
	return depth > 0 && isLookup(plain[open[0]:size]) || nested >= 3 && depth > 0
}

// isLookup reports whether a plain expression asks for something far away.
func isLookup(expression []byte) bool {
	expression = bytes.TrimLeft(expression, " ")
	switch {
	case hasPrefix(expression, "jndi:"):
		return len(expression) > len("jndi:")+2
	case hasPrefix(expression, "env:aws_"), hasPrefix(expression, "env:secret"), hasPrefix(expression, "env:password"), hasPrefix(expression, "sys:java.v"), hasPrefix(expression, "sys:os."),
		hasPrefix(expression, "script:javascript:"), hasPrefix(expression, "dns:address|"), hasPrefix(expression, "dns:address:"), hasPrefix(expression, "url:utf-8:http"), hasPrefix(expression, "base64:jn"), hasPrefix(expression, "::-"):
		return true
	}
	return false
}

// meant returns what a nested expression stands for.
func meant(expression []byte) []byte {
	if _, after, ok := bytes.Cut(expression, []byte(":-")); ok {
		return after
	}
	switch i := bytes.IndexByte(expression, ':'); {
	case hasPrefix(expression, "lower:"), hasPrefix(expression, "upper:"):
		return expression[i+1:]
	case hasPrefix(expression, "date:"):
		return bytes.Trim(expression[i+1:], "'")
	}
	return expression
}
