package scenario

import "bytes"

// isStatic reports whether a decoded path names a part that pages are made of, by
// its ending. A missing one says more about the site than about the client. What
// servers do not read of a path does not make it one: "/x.php;a.js", "/x.php/a.css".
func isStatic(path []byte) bool {
	if i := bytes.IndexByte(path, ';'); i >= 0 {
		path = path[:i]
	}
	dot := bytes.LastIndexByte(path, '.')
	if dot < 0 || bytes.IndexByte(path[dot:], '/') >= 0 || !isStaticEnding(path[dot+1:]) {
		return false
	}
	for dir := path[:bytes.LastIndexByte(path, '/')+1]; len(dir) > 0; {
		i := bytes.IndexByte(dir, '/')
		if j := bytes.LastIndexByte(dir[:i], '.'); j >= 0 && isProgram(dir[j+1:i]) {
			return false
		}
		dir = dir[i+1:]
	}
	return true
}

func isProgram(ending []byte) bool {
	switch string(ending) {
	case "php", "php3", "php4", "php5", "php7", "phtml", "asp", "aspx", "ashx", "asmx", "jsp", "jspx", "do", "action", "cgi", "pl", "py", "rb", "cfm":
		return true
	}
	return false
}

func isStaticEnding(ending []byte) bool {
	switch string(ending) {
	case "css", "js", "mjs", "cjs", "map", "wasm", "webmanifest", "vtt", "srt", "key",
		"glb", "gltf", "lottie", "riv", "atlas", "pbf", "mvt", "ktx2", "basis":
		return true
	}
	return isMediaEnding(ending)
}

// isMediaEnding reports whether an ending is that of what people look at and listen
// to, or of a font. Nobody guesses names of those.
func isMediaEnding(ending []byte) bool {
	switch string(ending) {
	case "png", "jpg", "jpeg", "gif", "webp", "avif", "svg", "ico", "bmp", "tif", "tiff", "heic", "jxl", "apng", "cur",
		"woff", "woff2", "ttf", "otf", "eot",
		"mp4", "m4v", "webm", "mov", "mp3", "m4a", "ogg", "oga", "ogv", "opus", "wav", "flac", "aac",
		"m3u8", "mpd", "ts", "m4s", "m4f", "cmfv", "cmfa":
		return true
	}
	return false
}

// appendPart appends the decoded path of a part of pages to dst with every piece of
// its name that holds a digit replaced: parts are numbered, and carry the hash of
// what is in them, and those who guess names guess words.
func appendPart(dst, path []byte) []byte {
	name := bytes.LastIndexByte(path, '/') + 1
	dst, _ = appendShape(dst, path[:name])
	digits, from := false, len(dst)
	for _, c := range path[name:] {
		switch {
		case c == '.' || c == '-' || c == '_' || c == '~':
			if digits {
				dst = append(dst[:from], '#')
			}
			dst = append(dst, c)
			digits, from = false, len(dst)
		default:
			digits = digits || '0' <= c && c <= '9'
			dst = append(dst, c)
		}
	}
	if digits {
		dst = append(dst[:from], '#')
	}
	return dst
}

// appendShape appends a decoded path to dst with every segment that only numbers
// a thing of its kind replaced, so that a thousand missing items of one collection
// are one shape and a scanner's thousand words are a thousand. parent is the length
// of the shape above the last segment, if there are two or more segments above, and
// of the whole shape if not.
func appendShape(dst, path []byte) (shape []byte, parent int) {
	depth := 0
	for len(path) > 0 {
		segment, rest := path, []byte(nil)
		if i := bytes.IndexByte(path[1:], '/'); i >= 0 {
			segment, rest = path[:i+1], path[i+1:]
		}
		depth++
		parent = len(dst)
		if isNumbering(segment[1:]) {
			dst = append(dst, segment[0], '#')
		} else {
			dst = append(dst, segment...)
		}
		path = rest
	}
	if depth < 3 {
		parent = len(dst)
	}
	return dst, parent
}

// top returns the first segment of a path or shape, with its slash.
func top(path []byte) []byte {
	if len(path) > 0 {
		if i := bytes.IndexByte(path[1:], '/'); i >= 0 {
			return path[:i+1]
		}
	}
	return path
}

// isNumbering reports whether a segment identifies one of many: a number, a date, a
// hash, a UUID or another long token.
func isNumbering(segment []byte) bool {
	digits, hex, letters := 0, 0, 0
	for i, c := range segment {
		switch {
		case '0' <= c && c <= '9':
			digits++
		case c == 'x' && i > 0 && isDigit(segment[i-1]) && i+1 < len(segment) && isDigit(segment[i+1]): // 512x512
		case 'a' <= c && c <= 'f':
			hex++
		case 'g' <= c && c <= 'z':
			letters++
		case c != '-' && c != '_' && c != '.':
			return false
		}
	}
	switch {
	case digits == 0:
		return false
	case letters == 0 && hex == 0:
		return true
	case letters == 0:
		return len(segment) >= 8
	default:
		return len(segment) >= 20 && digits >= 3
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
