package scenario

import "bytes"

// isStatic reports whether a decoded path names a part that pages are made of,
// by its ending. A missing one says more about the site than about the client.
func isStatic(path []byte) bool {
	dot := bytes.LastIndexByte(path, '.')
	if dot < 0 || bytes.IndexByte(path[dot:], '/') >= 0 {
		return false
	}
	switch string(path[dot+1:]) {
	case "css", "js", "mjs", "cjs", "map", "wasm", "webmanifest",
		"png", "jpg", "jpeg", "gif", "webp", "avif", "svg", "ico", "bmp", "tif", "tiff", "heic", "jxl", "apng", "cur",
		"woff", "woff2", "ttf", "otf", "eot",
		"mp4", "m4v", "webm", "mov", "mp3", "m4a", "ogg", "oga", "ogv", "opus", "wav", "flac", "aac",
		"m3u8", "mpd", "ts", "m4s", "m4f", "cmfv", "cmfa", "vtt", "srt", "key",
		"glb", "gltf", "lottie", "riv", "atlas", "pbf", "mvt", "ktx2", "basis":
		return true
	}
	return false
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
	for _, c := range segment {
		switch {
		case '0' <= c && c <= '9':
			digits++
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
