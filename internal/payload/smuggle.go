package payload

import "bytes"

// splitsHeader reports whether a value goes on with a header or an answer behind a
// line break. Text with line breaks, as people write it in forms, has neither.
func splitsHeader(value []byte) bool {
	for i := 0; i < len(value); i++ {
		if value[i] != '\r' && value[i] != '\n' {
			continue
		}
		i = skip(value, i, isBlank)
		rest := value[i:]
		if len(rest) < 6 || !opensHeader[rest[0]] {
			i--
			continue
		}
		for _, header := range [...]string{
			"set-cookie:", "set-cookie2:", "location:", "content-type:", "content-length:", "content-disposition:", "transfer-encoding:", "x-xss-protection:", "refresh:", "content-security-policy:",
			"access-control-allow-origin:", "x-forwarded-for:", "x-forwarded-host:", "host:", "http/1.", "http/2",
		} {
			if header[0] == rest[0] && hasPrefix(rest, header) && len(rest) > len(header) {
				return true
			}
		}
		i-- // the blanks are behind us: the byte after them is next
	}
	return false
}

// opensHeader holds the first letters of the headers above.
var opensHeader = [256]bool{'s': true, 'l': true, 'c': true, 't': true, 'x': true, 'r': true, 'a': true, 'h': true}

// isCredential reports whether a parameter's name is one that credentials come under,
// with an operator of a document store: password[$ne].
func isCredential(name []byte) bool {
	base, operator, ok := bytes.Cut(name, []byte("[$"))
	if !ok {
		return false
	}
	switch string(bytes.TrimRight(operator, "]")) {
	case "ne", "gt", "gte", "lt", "lte", "regex", "exists", "nin", "in", "not", "where", "or":
	default:
		return false
	}
	if i := bytes.LastIndexAny(base, "[."); i >= 0 {
		base = bytes.TrimRight(base[i+1:], "]")
	}
	switch string(base) {
	case "password", "passwd", "pass", "pwd", "user", "username", "login", "email", "token", "secret", "otp", "code", "user_name", "passphrase", "apikey", "api_key", "key", "resettoken":
		return true
	}
	return false
}

// operators returns NoSQL if a parameter holds operators of a document store where
// credentials are due, or code for it. Filters have operators too
// (price[$gt]=5), and those are let pass.
func operators(name, value []byte) Finding {
	if isCredential(name) {
		return NoSQL
	}
	if bytes.HasSuffix(name, []byte("$where")) || bytes.HasSuffix(name, []byte("[$where]")) {
		return NoSQL
	}
	for _, operator := range [...]string{"$where", "$function", "$accumulator"} {
		if i := bytes.Index(value, []byte(operator)); i >= 0 {
			code := value[i+len(operator):]
			if bytes.Contains(code, []byte("this.")) || bytes.Contains(code, []byte("sleep(")) || bytes.Contains(code, []byte("function")) || bytes.Contains(code, []byte("return ")) || bytes.Contains(code, []byte("1==1")) {
				return NoSQL
			}
		}
	}
	for _, field := range [...]string{"\"password\":{\"$", "\"password\": {\"$", "\"username\":{\"$", "\"username\": {\"$", "\"user\":{\"$", "\"pass\":{\"$"} {
		if bytes.Contains(value, []byte(field)) {
			return NoSQL
		}
	}
	if bytes.HasPrefix(value, []byte("{\"$")) && (bytes.Contains(value, []byte("\"$ne\":null")) || bytes.Contains(value, []byte("\"$ne\": null")) || bytes.Contains(value, []byte("{\"$gt\":\"\"}")) || bytes.Contains(value, []byte("{\"$gt\": \"\"}"))) && len(value) < 24 {
		return NoSQL
	}
	return 0
}
