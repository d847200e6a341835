package scenario

import (
	"bytes"
	"slices"
	"strings"

	"weir/internal/match"
)

// static says whether a path, without escapes, names a part that pages are made of, by
// its ending. A missing one says more about the site than about the client. What
// servers do not read of a path does not make it one: "/x.php;a.js", "/x.php/a.css".
func static(path []byte) uint64 {
	if i := bytes.IndexByte(path, ';'); i >= 0 {
		path = path[:i]
	}
	dot := bytes.LastIndexByte(path, '.')
	if dot < 0 {
		return 0
	}
	var buf [longestEnding]byte
	facts := ofEnding[string(lowEnding(path[dot+1:], &buf))]
	if facts == 0 || runsProgram(path) {
		return 0
	}
	return facts
}

// runsProgram reports whether a segment before the last is the name of a program.
func runsProgram(path []byte) bool {
	dir := path[:bytes.LastIndexByte(path, '/')+1]
	for {
		dot := bytes.IndexByte(dir, '.')
		if dot < 0 {
			return false
		}
		dir = dir[dot+1:]
		if end := bytes.IndexByte(dir, '/'); isProgram(dir[:end]) {
			return true
		}
	}
}

// longestEnding is the length of the longest of all that are told from others.
const longestEnding = len("webmanifest")

// lowEnding returns an ending in lower case, in buf; nothing if it is longer than all that
// are known.
func lowEnding(ending []byte, buf *[longestEnding]byte) []byte {
	if len(ending) > len(buf) {
		return nil
	}
	for i, c := range ending {
		if 'A' <= c && c <= 'Z' {
			c |= 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(ending)]
}

func isProgram(ending []byte) bool {
	var buf [longestEnding]byte
	switch string(lowEnding(ending, &buf)) {
	case "php", "php3", "php4", "php5", "php7", "phtml", "asp", "aspx", "ashx", "asmx", "jsp", "jspx", "do", "action", "cgi", "pl", "py", "rb", "cfm":
		return true
	}
	return false
}

// Endings of parts of pages. Media are what people look at and listen to, and fonts: nobody
// guesses names of those.
var (
	partEndings  = strings.Fields("css js mjs cjs map wasm webmanifest vtt srt key glb gltf lottie riv atlas pbf mvt ktx2 basis")
	mediaEndings = strings.Fields(`png jpg jpeg gif webp avif svg ico bmp tif tiff heic jxl apng cur
		woff woff2 ttf otf eot
		mp4 m4v webm mov mp3 m4a ogg oga ogv opus wav flac aac m3u8 mpd ts m4s m4f cmfv cmfa`)
)

// ofEnding says what each ending tells of a path.
var ofEnding = func() map[string]uint64 {
	facts := map[string]uint64{}
	for _, ending := range partEndings {
		facts[ending] = pathStatic
	}
	for _, ending := range mediaEndings {
		facts[ending] = pathStatic | pathMedia
	}
	return facts
}()

// staticPaths end like those of parts of pages. Those that run a program are none: see
// runsProgram.
func staticPaths() (needles []match.Needle[uint64]) {
	for _, ending := range slices.Concat(partEndings, mediaEndings) {
		needles = append(needles, match.Needle[uint64]{Text: "." + ending, Flags: ofEnding[ending], Edge: match.AtEnd})
	}
	return needles
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
