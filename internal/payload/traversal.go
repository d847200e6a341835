package payload

import (
	"bytes"

	"weir/internal/match"
)

// A file's name has many spellings: /etc/./passwd, /etc//passwd, \etc\passwd. squash
// gives it one, and what it says of the way there is kept beside it.

// A way is how a name in a text leads.
type way struct {
	ups   int  // most "../" in one name
	above bool // a name leads above where it starts
	odd   bool // an up is written as nobody writes it who does not hide it: "..;/"
	dots  bool // a part begins with more dots than any name has: what is left of "..\..\" where '\' got lost
}

// manyUps is how many "../" in a name no site needs.
const manyUps = 3

// files returns Traversal if a decoded text holds a way out or names a file of the
// system.
func (s *Scanner) files(text []byte, where place) Finding {
	var w way
	s.squashed, w = squash(s.squashed[:0], text)
	if w.dots || w.odd && w.ups > 0 || w.ups >= manyUps || where == inPath && w.above {
		return Traversal
	}
	if where != inPath && w.ups == 2 && !isPart(s.squashed) {
		return Traversal
	}
	var c match.Cursor
	for range maxNames {
		index, ok := sensitive.Next(s.squashed, &c)
		if !ok {
			break
		}
		n := sensitive.Needle(index)
		if reaches(s.squashed, c.At()-len(n.Text), c.At(), n.Flags, where) {
			return Traversal
		}
	}
	return 0
}

// maxNames is how many sensitive names in a text are looked at.
const maxNames = 16

// squash appends a text to dst with its file names spelt plainly: '/' for '\', no
// "//" and no "/./", ".." for what is taken for it.
func squash(dst, text []byte) ([]byte, way) {
	var w way
	segment := len(dst) // where the current part of a name begins
	ups, depth := 0, 0
	for i := 0; i <= len(text); i++ {
		c := byte(' ')
		if i < len(text) {
			if c = text[i]; c == 0 {
				continue // it is passed over by some, and has a finding of its own
			}
		}
		if !endsSegment[c] {
			dst = append(dst, c)
			continue
		}
		slash := c == '/' || c == '\\'
		switch part := dst[segment:]; {
		case len(part) == 0 && slash && segment > 0 && dst[segment-1] == '/':
			continue // "//"
		case len(part) == 1 && part[0] == '.' && slash && segment > 0 && dst[segment-1] == '/':
			dst = dst[:segment]
			continue // "/./"
		case isUp(part):
			if slash || ups > 0 {
				ups++
				depth--
				w.odd = w.odd || part[len(part)-1] != '.' && part[2] == ';'
				w.above = w.above || depth < 0
				if w.ups = max(w.ups, ups); w.ups >= manyUps {
					return dst, w
				}
			}
			dst = append(dst[:segment], ".."...)
		case len(part) > 0:
			depth++
			w.dots = w.dots || len(part) > 5 && segment > 0 && dst[segment-1] == '/' && string(part[:4]) == "...."
		}
		if slash {
			c = '/'
		} else {
			ups, depth = 0, 0
		}
		dst = append(dst, c)
		segment = len(dst)
	}
	return dst[:len(dst)-1], w
}

// isUp reports whether a part of a name is ".." or taken for it by some server: with
// a parameter ("..;a"), or what remains of "....//" once a filter took "../" away.
func isUp(part []byte) bool {
	if len(part) < 2 || part[0] != '.' || part[1] != '.' {
		return false
	}
	rest := bytes.TrimLeft(part[2:], ".")
	return len(rest) == 0 && len(part) != 3 && len(part) <= 6 || len(rest) > 0 && rest[0] == ';' && len(part) <= 32
}

// endsSegment holds the bytes that end a part of a file's name.
var endsSegment = func() (set [256]bool) {
	for _, c := range []byte("/\\ \t\r\n\"'`<>|=,(){}[]") {
		set[c] = true
	}
	set[nextParam], set[nextValue] = true, true
	return set
}()

// isPart reports whether a text ends in the name of a picture or another part of a
// page: sites link to those with "../../".
func isPart(text []byte) bool {
	for _, ending := range [...]string{".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".css", ".js", ".mp4", ".pdf", ".html"} {
		if i := bytes.LastIndex(text, []byte(ending)); i >= 0 && (i+len(ending) == len(text) || text[i+len(ending)] == nextParam || text[i+len(ending)] == ')') {
			return true
		}
	}
	return false
}

// reaches reports whether a sensitive name at text[from:to] is asked for: it is the
// end of an absolute name or of a way out, not of a word in a sentence or of an
// address on another site.
func reaches(text []byte, from, to int, kind nameKind, where place) bool {
	start := from
	for start > 0 && from-start < 256 && !endsName(text[start-1]) {
		start--
	}
	if from > start && text[from-1] != '/' {
		return false
	}
	name := text[start:from]
	out := bytes.Contains(name, []byte("../")) || hasPrefix(name, "file:/")
	if !out {
		if colon := bytes.IndexByte(name, ':'); colon > 1 && !hasPrefix(name, "jar:") && !hasPrefix(name, "netdoc:") {
			return false // an address
		}
		if where == inPath {
			out = kind == systemName && (len(name) == 1 || len(name) == 0)
		} else {
			absolute := len(name) > 0 && (name[0] == '/' || len(name) > 1 && name[1] == ':')
			whole := (start == 0 || text[start-1] == nextValue) && (to == len(text) || text[to] == nextParam || text[to] == 0)
			out = kind == systemName && (absolute || whole)
		}
	}
	return out && !inProse(text, start, to)
}

// startsSensitive reports whether a path, not decoded, may begin with the name of a
// file of the system.
func startsSensitive(path []byte) bool {
	if len(path) < 9 {
		return false
	}
	start := [4]byte{lowered[path[1]], lowered[path[2]], lowered[path[3]], lowered[path[4]]}
	switch string(start[:]) {
	case "etc/", "proc", "var/", "wind", "winn", "win.", "usr/", "root", "web-", "meta", "boot", "glob", "inet", "apac", "run/", "sysp", "pure", "c:/w", "c:/b", "//et", "/etc":
		return true
	}
	return false
}

func endsName(c byte) bool { return c != '/' && endsSegment[c] }

// inProse reports whether text[from:to] has words around it, as in a sentence.
func inProse(text []byte, from, to int) bool {
	value := text[:from]
	if i := bytes.LastIndexByte(value, nextValue); i >= 0 {
		value = value[i+1:]
	}
	after := text[to:]
	if i := bytes.IndexByte(after, nextParam); i >= 0 {
		after = after[:i]
	}
	words := countWords(value) + countWords(after)
	return words >= 2 && isSentence(value) && isSentence(after)
}

func countWords(text []byte) (n int) {
	inside := false
	for _, c := range text[:min(len(text), 128)] {
		letter := isLetter(c)
		if letter && !inside {
			n++
		}
		inside = c > ' '
	}
	return n
}

// isSentence reports whether a text is words, spaces and the marks of sentences.
func isSentence(text []byte) bool {
	for _, c := range text[:min(len(text), 128)] {
		if !match.IsWord(c) && c < 0x80 && bytes.IndexByte([]byte(" .,:?!-'/"), c) < 0 {
			return false
		}
	}
	return true
}

// cutsShort reports whether a NUL in a text is to end a name early: "x.php%00.jpg".
func cutsShort(text []byte, where place) bool {
	if where == inPath {
		return true
	}
	for from := 0; ; {
		i := bytes.IndexByte(text[from:], 0)
		if i < 0 {
			return false
		}
		i += from
		from = i + 1
		start := i
		for start > 0 && i-start < 64 && text[start-1] > ' ' && text[start-1] < 0x7f {
			start--
		}
		name := text[start:i]
		named := len(name) >= 4 && match.IsWord(name[len(name)-1]) && bytes.ContainsAny(name, "./")
		if named && (from == len(text) || text[from] == '.' || text[from] == nextParam || text[from] == 0) {
			return true
		}
	}
}
