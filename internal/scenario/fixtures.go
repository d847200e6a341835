package scenario

import (
	"embed"
	"io/fs"
)

//go:embed builtin/tests
var builtinTests embed.FS

// BuiltinTests returns the stories that the built-in catalogue is tested with: NAME.log,
// or NAME.log.gz, is a log, and NAME.alerts.tsv the alerts that it raises.
func BuiltinTests() fs.FS {
	tests, err := fs.Sub(builtinTests, "builtin/tests")
	if err != nil {
		panic("BUG: the built-in tests: " + err.Error())
	}
	return tests
}
