package payload

import "bytes"

// maxCalls is how many calls of a value are looked at.
const maxCalls = 24

// holdsCode reports whether a value holds code of PHP or a serialised object that is
// to be run, as against a function's name that somebody looks up.
func holdsCode(value []byte) bool {
	return isPHP(value) || holdsObject(value) || callsPHP(value)
}

// isPHP finds the beginning of a script with code behind it.
func isPHP(value []byte) bool {
	for from := 0; ; {
		i := bytes.Index(value[from:], []byte("<?"))
		if i < 0 {
			return false
		}
		from += i + 2
		rest := value[from:min(len(value), from+96)]
		switch {
		case hasPrefix(rest, "php"):
			rest = rest[3:]
		case hasPrefix(rest, "="):
		default:
			continue
		}
		if bytes.ContainsAny(rest, "($`;'\"") && !isProse(value) {
			return true
		}
	}
}

// holdsObject finds an object as PHP writes it: o:8:"stdclass":1:{s:
func holdsObject(value []byte) bool {
	for from := 0; ; {
		i := bytes.Index(value[from:], []byte("o:"))
		if i < 0 {
			return false
		}
		i += from
		from = i + 2
		end := skip(value, from, isDigit)
		if end > from && at(value, end) == ':' && at(value, end+1) == '"' && bytes.Contains(value[end:min(len(value), end+96)], []byte(":{")) && (i == 0 || value[i-1] < 'a' || value[i-1] > 'z') {
			return true
		}
	}
}

// callsPHP finds a call of a dangerous function that stands as a statement does: at
// the beginning of the value, or behind what ends a string or a statement, and with
// nothing but code behind it.
func callsPHP(value []byte) bool {
	from := 0
	for range maxCalls {
		i := bytes.IndexByte(value[from:], '(')
		if i < 0 {
			return false
		}
		i += from
		from = i + 1
		start := i
		for start > 0 && i-start < 24 && isPHPName(value[start-1]) {
			start--
		}
		name := value[start:i]
		if len(name) < 3 || !phpFunctions[string(name)] {
			continue
		}
		end := bytes.IndexByte(value[from:], ')')
		if end < 0 {
			continue
		}
		end += from
		empty := end == from
		rest := bytes.TrimLeft(value[end+1:], ") ")
		ended := len(rest) == 0 || rest[0] == ';' || rest[0] == '}' || hasPrefix(rest, ".'") || hasPrefix(rest, "//") || hasPrefix(rest, "?>")
		if !ended || isProse(value) {
			continue
		}
		if start == 0 {
			return string(name) == "phpinfo" || !empty && isDangerous(name) && (len(rest) > 0 || isCode(value[from:end]))
		}
		before := bytes.TrimRight(value[:start], " @!(")
		if len(before) == 0 {
			return !empty && isDangerous(name)
		}
		switch before[len(before)-1] {
		case '{', ';', '.':
			// ';system(...)  {${phpinfo()}}  '.system(...).'
			marked := bytes.ContainsAny(before, "'\"$<") || len(before) == 1
			if marked && (!empty || string(name) == "phpinfo") {
				return true
			}
		}
	}
	return false
}

func isPHPName(c byte) bool { return isLetter(c) || isDigit(c) || c == '_' }

// isDangerous reports whether a function gives away the server by itself.
func isDangerous(name []byte) bool {
	switch string(name) {
	case "system", "exec", "passthru", "shell_exec", "popen", "proc_open", "eval", "assert", "call_user_func", "call_user_func_array", "create_function", "base64_decode",
		"file_get_contents", "file_put_contents", "highlight_file", "show_source", "readfile", "scandir", "die", "print_r", "var_dump":
		return true
	}
	return false
}

// isCode reports whether the argument of a call is one that a program has: quoted, a
// variable, another call, a number.
func isCode(argument []byte) bool {
	if len(argument) == 0 {
		return false
	}
	c := argument[0]
	return c == '\'' || c == '"' || c == '$' || c == '`' || isDigit(c) || bytes.IndexByte(argument, '(') > 0
}
