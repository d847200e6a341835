package payload

import (
	"strings"

	"weir/internal/match"
)

// A token is one piece of SQL.
type token struct {
	kind     kind
	from, to uint16 // in the text that was cut into tokens
}

// kind is what a token is. Below kindWord it is the byte itself: a bracket, a quote,
// an operator.
type kind uint8

const (
	kindWord    kind = iota + 128 // a name, or a word that is no keyword
	kindNumber                    // a number, and what begins with a digit
	kindComment                   // a sign that cuts off what follows
	kindEqual                     // = < > <> != like between in is regexp
	kindLogic                     // or and xor having where
	kindBars                      // || &&, which are operators of programs too
	kindNot                       // not exists
	kindNull                      // null true false
	kindUnion
	kindAll // all distinct
	kindSelect
	kindFrom
	kindBy // order by, group by
	kindInto
	kindStatement // insert update delete drop exec declare ...: begins a statement
	kindObject    // table database set @: goes on with a statement
	kindFunction  // char concat hex ...: only with a bracket
	kindTimer     // sleep benchmark pg_sleep: only to be noticed
	kindNiladic   // user database version: only with "()"
	kindProof     // information_schema, extractvalue( and others that no site takes
	kindVariable  // @@name
	kindCase
)

// maxTokens bounds the work on a hostile text.
const maxTokens = 192

// appendTokens cuts a decoded value into tokens. White space, comments that end and
// what is not ASCII only separate.
func appendTokens(dst []token, text []byte) []token {
	for i := 0; i < len(text) && len(dst) < maxTokens; {
		c, from := text[i], i
		k := kind(c)
		switch {
		case c <= ' ' || c >= 0x7f:
			i++
			continue
		case '0' <= c && c <= '9', c == '.' && isDigit(at(text, i+1)):
			i = skipNumber(text, i)
			k = kindNumber
		case match.IsWord(c):
			i = skipWord(text, i)
			k = keyword(text[from:i])
			if k == kindProof && i < len(text) && text[i] != '(' && !provesAlone(text[from:i]) {
				k = kindWord
			}
		case c == '@' && at(text, i+1) == '@' && match.IsWord(at(text, i+2)):
			i = skipWord(text, i+2)
			k = kindVariable
		case c == '#', c == '-' && at(text, i+1) == '-':
			i++
			if c == '-' {
				i++
			}
			if !ends(text, from) {
				continue
			}
			k = kindComment
		case c == '/' && at(text, i+1) == '*':
			next := skipComment(text, i)
			if next > len(text) { // it is not closed: it cuts off the rest
				i = len(text)
				k = kindComment
				break
			}
			i = next
			continue
		case c == '*' && at(text, i+1) == '/': // the end of a comment whose beginning was skipped
			i += 2
			continue
		case c == '|' && at(text, i+1) == '|', c == '&' && at(text, i+1) == '&':
			i += 2
			k = kindBars
		case c == '=' || c == '<' || c == '>' || c == '!' && at(text, i+1) == '=':
			i = skip(text, i, isComparison)
			k = kindEqual
		case c == '\\' && (at(text, i+1) == '\'' || at(text, i+1) == '"'):
			i++
			continue
		default:
			i++
		}
		dst = append(dst, token{k, uint16(from), uint16(i)})
	}
	return dst
}

func at(text []byte, i int) byte {
	if i >= 0 && i < len(text) {
		return text[i]
	}
	return 0
}

func skip(text []byte, i int, while func(byte) bool) int {
	for i < len(text) && while(text[i]) {
		i++
	}
	return i
}

func skipWord(text []byte, i int) int {
	for i < len(text) && match.IsWord(text[i]) {
		i++
	}
	return i
}

func isDigit(c byte) bool      { return '0' <= c && c <= '9' }
func isComparison(c byte) bool { return c == '=' || c == '<' || c == '>' || c == '!' }
func isLetter(c byte) bool     { return 'a' <= c && c <= 'z' }
func isBlank(c byte) bool      { return c <= ' ' }

// skipNumber returns where the number that begins at i ends. MySQL ends a number
// where a keyword begins (1or 1e0union), and so does this.
func skipNumber(text []byte, i int) int {
	if text[i] == '0' && at(text, i+1) == 'x' {
		return skipWord(text, i+2)
	}
	i = skip(text, i, func(c byte) bool { return isDigit(c) || c == '.' })
	if at(text, i) == 'e' && isDigit(at(text, i+1)) {
		i = skip(text, i+1, isDigit)
	}
	end := skipWord(text, i)
	switch keyword(text[i:end]) {
	case kindLogic, kindUnion, kindFrom, kindSelect:
		return i
	}
	return end
}

// ends reports whether the comment sign at i cuts off what follows: nothing or a
// space follows, or another sign of the kind.
func ends(text []byte, i int) bool {
	if text[i] == '-' {
		i++
	}
	switch c := at(text, i+1); c {
	case 0, ' ', '\t', '\n', '\r', '+', '&', '-', '#', '/', '\'', '"', ';', '`':
		return true
	default:
		return text[i] == '#' && match.IsWord(c) // MySQL needs no space after '#'
	}
}

// skipComment returns where the comment that begins at i ends, or more than the
// text's length if it does not. The "/*!" of MySQL hides words from others that it
// reads itself, so only the sign is skipped.
func skipComment(text []byte, i int) int {
	if at(text, i+2) == '!' {
		return skip(text, i+3, isDigit)
	}
	for j := i + 2; j+1 < len(text); j++ {
		if text[j] == '*' && text[j+1] == '/' {
			return j + 2
		}
	}
	return len(text) + 1
}

// keywords are the words that are more than names.
var keywords = map[kind]string{
	kindLogic:     "or and xor having where",
	kindNot:       "not exists",
	kindNull:      "null true false",
	kindEqual:     "like rlike regexp between in is sounds ilike",
	kindUnion:     "union intersect",
	kindAll:       "all distinct distinctrow top",
	kindSelect:    "select",
	kindFrom:      "from",
	kindBy:        "by",
	kindInto:      "into",
	kindCase:      "case",
	kindStatement: "insert update delete drop alter create truncate exec execute declare shutdown waitfor grant revoke merge",
	kindObject:    "table schema set delay values procedure view master xp_cmdshell sp_executesql sp_oacreate",
	kindFunction:  "char chr nchar concat concat_ws ascii ord substr substring mid hex unhex md5 sha1 length len count cast convert ifnull nullif elt make_set gtid_subset xmltype binary cos if iif greatest least coalesce bin left right row quote to_char upper lower json_extract min max",
	kindTimer:     "sleep benchmark pg_sleep randomblob generate_series",
	kindNiladic:   "user database version current_user session_user system_user db_name user_name sqlite_version",
	kindProof:     "information_schema sqlite_master sysobjects syscolumns pg_catalog all_tables extractvalue updatexml load_file group_concat name_const aes_decrypt utl_http utl_inaddr dbms_pipe dbms_lock dbms_xmlgen ctxsys pg_read_file pg_ls_dir lo_import json_keys analyse string_agg xmlagg xp_dirtree xp_regread openrowset",
}

const keywordSlots = 1024

// keywordTable finds the kind of a word by its ends and its length: a table with
// open addressing, a power of two in size and mostly empty.
var keywordTable = func() (table [keywordSlots]struct {
	word string
	kind kind
},
) {
	for k, words := range keywords {
		for word := range strings.FieldsSeq(words) {
			i := keywordHash([]byte(word))
			for table[i].word != "" {
				i = (i + 1) % keywordSlots
			}
			table[i].word, table[i].kind = word, k
		}
	}
	return table
}()

// keywordHash takes a word of two bytes or more.
func keywordHash(word []byte) uint {
	n := len(word)
	return (uint(word[0])*37 + uint(word[1])*101 + uint(word[n-1])*17 + uint(word[n/2])*211 + uint(n)*59) % keywordSlots
}

func keyword(word []byte) kind {
	if len(word) < 2 || len(word) > 18 {
		return kindWord
	}
	for i := keywordHash(word); keywordTable[i].word != ""; i = (i + 1) % keywordSlots {
		if keywordTable[i].word == string(word) {
			return keywordTable[i].kind
		}
	}
	return kindWord
}

// provesAlone reports whether a word is a proof without a bracket behind it.
func provesAlone(word []byte) bool {
	switch string(word) {
	case "information_schema", "sqlite_master", "sysobjects", "syscolumns", "pg_catalog", "utl_http", "utl_inaddr", "dbms_pipe", "dbms_lock", "dbms_xmlgen", "ctxsys", "all_tables":
		return true
	}
	return false
}
