package payload

import (
	"bytes"

	"weir/internal/match"
)

// maxCommands is how many places of a value where a command may begin are read.
const maxCommands = 24

// holdsCommand reports whether a value leaves what it was meant for and goes on with
// a command for a shell: a separator, a program's name, and then what an argument
// looks like, or nothing more. Names of programs are words ("cat", "find", "time"),
// so a separator and a name are not enough.
func holdsCommand(value []byte) bool {
	places := 0
	for i := 0; i < len(value) && places < maxCommands; i++ {
		opener := value[i]
		if !opensCommand[opener] {
			continue
		}
		at2 := at(value, i+1)
		if (opener == '$' || opener == '<' || opener == '>') && at2 != '(' {
			continue
		}
		start := skip(value, i+1, func(c byte) bool {
			return opensCommand[c] && c != '$' && c != '<' && c != '>' || c <= ' ' || c == '(' || c == '{'
		})
		if start >= len(value) {
			return false
		}
		places++
		var c command
		if c.read(value, start); c.is(value, i, opener) {
			return true
		}
		i = max(i, start-1)
	}
	return false
}

var opensCommand = [256]bool{';': true, '|': true, '&': true, '`': true, '$': true, '\n': true, '\r': true, '<': true, '>': true}

// A command is the name of a program in a value as a shell would read it: "c'a't",
// c\at and /bin/cat are cat.
type command struct {
	name [24]byte
	size int
	path bool // it was given with its directory
	end  int  // where it ends in the value
}

func (c *command) read(value []byte, start int) {
	i := start
	for ; i < len(value) && c.size < len(c.name) && i < start+64; i++ {
		switch b := value[i]; {
		case match.IsWord(b), b == '-' && c.size > 0, b == '.' && c.size > 0, b == '?' && c.path, b == '*' && c.path:
			c.name[c.size] = b
			c.size++
		case b == '/':
			c.size, c.path = 0, true
		case b == '\'', b == '"', b == '\\':
		case b == '$' && at(value, i+1) == '@':
			i++
		default:
			c.end = i
			return
		}
	}
	c.end = i
}

// is reports whether the command that opener at value[i] begins is one.
func (c *command) is(value []byte, i int, opener byte) bool {
	if c.size == 0 {
		return false
	}
	name := c.name[:c.size]
	if end := len(name) - 4; end > 0 && string(name[end:]) == ".exe" {
		name = name[:end]
	}
	globbed := c.path && bytes.ContainsAny(name, "?*")
	if !globbed && !shellCommands[string(name)] {
		return false
	}
	next := skip(value, c.end, isBlank)
	switch opener {
	case '`':
		closed := bytes.IndexByte(value[c.end:], '`') >= 0
		return closed && (i == 0 || value[i-1] != ' ') && !isProse(value)
	case '$', '<', '>':
		return string(name) != "function" && value[i+2] != '"' && value[i+2] != '\'' && (at(value, next) == ')' || isArgument(value, next, name))
	}
	switch at(value, next) {
	case 0, ';', '|', '&', '#', '\n', '\r', '`', '\'', '"':
		return c.isBare(value, i, name, at(value, next))
	}
	return (next > c.end || c.end < len(value) && value[c.end] == '$') && isArgument(value, next, name) && !isProse(value)
}

// isBare judges a command without arguments.
func (c *command) isBare(value []byte, i int, name []byte, next byte) bool {
	if c.path {
		return true
	}
	switch string(name) {
	case "whoami", "uname", "ifconfig", "ipconfig", "netstat", "printenv", "systeminfo", "tasklist", "phpinfo", "nslookup":
		return !isProse(value)
	case "id", "ls", "pwd", "ps", "env", "dir", "ver", "set", "reboot":
		// In a list of columns they are names: what is before must be nothing or no name.
		if next == '\'' || next == '"' {
			return i > 0 && value[i-1] == next
		}
		last := at(value, i-1)
		return i == 0 || isDigit(last) || last == '\'' || last == '"' || last == ')' || value[i] == '&' && at(value, i+1) == '&'
	}
	return false
}

// isArgument reports whether what follows a program's name at value[i:] is an
// argument, and no word of a sentence.
func isArgument(value []byte, i int, name []byte) bool {
	c, next := at(value, i), at(value, i+1)
	switch c {
	case '/':
		if next == 0 {
			return string(name) == "ls" || string(name) == "find" || string(name) == "cd" || string(name) == "du"
		}
		return isLetter(next) || next == '?' || next == '*' || isDigit(next)
	case '-':
		return isLetter(next) && skip(value, i+1, isLetter)-i <= 4 && string(name) != "sort" || next == '-' && isLetter(at(value, i+2))
	case '$', '>', '<', '*', '~', '\\', '%':
		return next != ' ' && next != 0
	case '.':
		return next == '.' || next == '/'
	}
	rest := value[i:]
	switch {
	case hasPrefix(rest, "http:/"), hasPrefix(rest, "https:/"), hasPrefix(rest, "ftp:/"), hasPrefix(rest, "c:\\"), hasPrefix(rest, "c:/"), hasPrefix(rest, "'/"), hasPrefix(rest, "\"/"), hasPrefix(rest, "chr("), hasPrefix(rest, "127.0.0.1"):
		return true
	case isDigit(c):
		end := skip(value, i, func(c byte) bool { return isDigit(c) || c == '.' })
		switch string(name) {
		case "sleep", "ping", "timeout", "usleep":
			after := at(value, end)
			return after == 0 || bytes.IndexByte([]byte(";|&#`)'\"\n"), after) >= 0
		}
	}
	switch string(name) {
	case "wget", "curl", "nslookup", "whoami", "certutil", "powershell", "nc", "ncat":
		end := skip(value, i, func(c byte) bool { return match.IsWord(c) || c == '.' || c == '-' })
		return bytes.IndexByte(value[i:end], '.') > 0
	case "echo", "expr", "printf":
		end := skip(value, i, match.IsWord)
		return end-i >= 6 && end == len(value)
	case "uname", "net", "cat", "type", "head", "tail", "more", "ls", "dir":
		// cat flag.txt: a file's name, and then the end.
		end := skip(value, i, func(c byte) bool { return match.IsWord(c) || c == '.' || c == '-' })
		return end == len(value) && bytes.IndexByte(value[i:end], '.') > 0 && at(value, end-1) != '.'
	}
	return false
}

// isShell reports whether a parameter is one by which people speak to a shell that
// they left behind, and its value a command.
func isShell(name, value []byte) bool {
	switch string(name) {
	case "cmd", "exec", "command", "execute", "shell", "c", "cmdline":
	default:
		return false
	}
	var c command
	c.read(value, skip(value, 0, isBlank))
	if c.size == 0 || !shellCommands[string(c.name[:c.size])] {
		return false
	}
	next := skip(value, c.end, isBlank)
	if next == len(value) {
		return c.path && len(name) > 1 || bytes.IndexByte([]byte("wiu"), c.name[0]) >= 0 && (string(c.name[:c.size]) == "whoami" || string(c.name[:c.size]) == "id" || string(c.name[:c.size]) == "uname")
	}
	return isArgument(value, next, c.name[:c.size])
}
