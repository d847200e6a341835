package payload

import "strings"

// Finding is a set of kinds of attack. Its zero value means that nothing was found.
type Finding uint16

// The kinds of attack.
const (
	SQL       Finding = 1 << iota // SQL that breaks out of a value
	NoSQL                         // operators of a document store where credentials are due, or code for it
	Script                        // script that is to run in somebody's browser
	Traversal                     // a way out of the document root, a system file, a stream wrapper
	Command                       // a command for a shell
	Code                          // code for the server: PHP, Java, OGNL, Python, Ruby, Node, serialised objects
	Template                      // an expression for a template engine
	Lookup                        // a JNDI look-up and its disguises; a shell function (Shellshock)
	Header                        // a line break with a header behind it: response splitting
	Internal                      // an address that only the server can reach: cloud metadata, gopher://
	NullByte                      // a NUL that is to cut a name short

	numFindings = iota
)

var findingNames = [numFindings]string{
	"sql", "nosql", "script", "traversal", "command", "code", "template", "lookup", "header", "internal", "nullbyte",
}

// String returns the names of the kinds, joined by '|', and "-" for none.
func (f Finding) String() string {
	if f == 0 {
		return "-"
	}
	var names []string
	for i, name := range findingNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "|")
}

// ParseFinding returns the kind with a name, and 0 if there is none.
func ParseFinding(name string) Finding {
	for i, known := range findingNames {
		if known == name {
			return 1 << i
		}
	}
	return 0
}
