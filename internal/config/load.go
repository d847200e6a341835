package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	prefix         = "WEIR_"
	scenarioPrefix = prefix + "SCENARIO_"
	fileSuffix     = "_FILE"  // of the variable that names the file with a secret
	maxSecret      = 64 << 10 // bytes read of such a file
)

// flag returns the name of the setting's flag. A secret has none, since every
// user of the machine can read a command line: its flag names a file.
func (s *setting) flag() string {
	name := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(s.name, prefix), "_", "-"))
	if s.kind.secret {
		name += "-file"
	}
	return name
}

// section returns the first word of the setting's name: "kinesis".
func (s *setting) section() string {
	word, _, _ := strings.Cut(s.flag(), "-")
	return word
}

// label is what an error calls the setting.
func (s *setting) label() string { return s.name + " (-" + s.flag() + ")" }

// A Loader reads the settings of one command.
type Loader struct {
	sections []string          // none = all
	flags    map[string]string // what flags say, by the setting's name
	required []string
	checks   []check
	readFile func(name string) (string, error)
}

// A check is a rule that a single value cannot tell.
type check struct {
	names []string // settings it is about; an error is put down to the first
	run   func(*Config) error
}

// Register adds the flags of the named sections to fs; none stands for all. A
// section is the first word of a setting's name: "kinesis" for
// WEIR_KINESIS_POLL. The variables of other sections stay known, so that a
// command can run in the environment of the service, but are not looked at.
func Register(fs *flag.FlagSet, sections ...string) *Loader {
	l := &Loader{sections: sections, flags: make(map[string]string), readFile: readFile}
	known := make(map[string]bool)
	for _, s := range new(Config).settings() {
		known[s.section()] = true
		if l.covers(&s) {
			fs.Var(&flagValue{text: s.def, into: l.flags, name: s.name}, s.flag(), s.usage())
		}
	}
	for _, section := range sections {
		if !known[section] {
			panic("BUG: no settings section " + section)
		}
	}
	l.Check(checkFailover, "WEIR_KINESIS_FAILOVER", "WEIR_KINESIS_POLL")
	l.Check(checkGrace, "WEIR_WAF_EXPIRY_GRACE", "WEIR_BAN_DURATION")
	l.Check(checkRole, "WEIR_ROLE", "WEIR_REKEY_STREAM", "WEIR_BAN_TABLE", "WEIR_STATE_SNAPSHOT")
	l.Check(checkRekey, "WEIR_REKEY_LEASE_TABLE", "WEIR_REKEY_STREAM", "WEIR_KINESIS_LEASE_TABLE", "WEIR_KINESIS_STREAM", "WEIR_ROLE")
	l.Check(checkToken, "WEIR_API_TOKEN", "WEIR_API_LISTEN")
	l.Check(ofPlain((*Target).checkRegion), "WEIR_WAF_REGION", "WEIR_WAF_SCOPE", "WEIR_WAF_TARGETS")
	l.Check(ofPlain((*Target).checkExternalID), "WEIR_WAF_EXTERNAL_ID", "WEIR_WAF_ROLE", "WEIR_WAF_TARGETS")
	l.Check(l.readTargets, "WEIR_WAF_TARGETS")
	return l
}

// Require makes Load refuse a Config in which one of the named settings is not
// set. The sections they are in must be registered.
func (l *Loader) Require(names ...string) {
	for _, name := range names {
		if s := mustFind(name); !l.covers(&s) {
			panic("BUG: setting " + name + " is not registered")
		}
	}
	l.required = append(l.required, names...)
}

// Check adds a rule that Load holds the Config to. It is called when all of the
// named settings are registered and none is wrong by itself, and its error is put
// down to the first of them; an error without names has to say itself what it is
// about.
func (l *Loader) Check(run func(*Config) error, names ...string) {
	for _, name := range names {
		mustFind(name)
	}
	l.checks = append(l.checks, check{names, run})
}

// Load reads the settings, once fs has parsed the command line, from flags and
// from environ ("NAME=value", as of os.Environ; of a repeated name the last one
// holds). The error joins one for everything that is wrong, each with the name
// of the variable, its value and what is allowed.
func (l *Loader) Load(environ []string) (*Config, error) {
	vars := variables(environ)
	c := &Config{Scenario: make(map[string]string)}
	settings := c.settings()
	wrong, registered := make(map[string]bool), make(map[string]bool)
	var errs []error
	for i := range settings {
		s := &settings[i]
		registered[s.name] = l.covers(s)
		if err := l.load(c, s, vars); err != nil {
			wrong[s.name] = true
			errs = append(errs, s.blame(err))
		}
	}
	errs = append(errs, takeScenarios(c, settings, vars)...)
	for _, check := range l.checks {
		if slices.ContainsFunc(check.names, func(name string) bool { return wrong[name] || !registered[name] }) {
			continue
		}
		if err := check.run(c); err != nil {
			errs = append(errs, blame(check.names, err))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return c, nil
}

// load fills the field of one setting and notes where its value came from.
func (l *Loader) load(c *Config, s *setting, vars map[string]string) error {
	if s.def != "" && s.kind.set(s.def) != nil {
		panic("BUG: default of " + s.name + " is not allowed")
	}
	if !l.covers(s) {
		return nil
	}
	raw, origin, err := l.find(s, vars)
	if err != nil {
		return err
	}
	if raw != "" {
		if wrong := s.kind.set(raw); wrong != nil {
			return fmt.Errorf("got %s, want %s", s.show(wrong), s.kind.want)
		}
	}
	if s.kind.get() == "" && slices.Contains(l.required, s.name) {
		return fmt.Errorf("not set, want %s", s.kind.want)
	}
	c.values = append(c.values, s.value(origin))
	return nil
}

// find returns what was set, "" for nothing, and by what.
func (l *Loader) find(s *setting, vars map[string]string) (raw string, origin Origin, err error) {
	flagged, isFlagged := l.flags[s.name]
	variable, file := vars[s.name], ""
	if s.kind.secret {
		file = vars[s.name+fileSuffix]
	}
	switch {
	case isFlagged && flagged == "": // undoes a variable
		return "", OriginDefault, nil
	case isFlagged && s.kind.secret:
		return l.readSecret(flagged)
	case isFlagged:
		return flagged, OriginFlag, nil
	case variable != "" && file != "":
		return "", "", fmt.Errorf("set, and so is %s%s: want one of them", s.name, fileSuffix)
	case file != "":
		return l.readSecret(file)
	case variable != "":
		return variable, OriginEnvironment, nil
	}
	return "", OriginDefault, nil
}

func (l *Loader) readSecret(name string) (string, Origin, error) {
	raw, err := l.readFile(name)
	if err != nil {
		return "", "", fmt.Errorf("read the secret: %w", err)
	}
	if raw = strings.TrimSpace(raw); raw == "" {
		return "", "", fmt.Errorf("read the secret: %q is empty", name)
	}
	return raw, OriginFile, nil
}

func readFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if len(b) > maxSecret {
		return "", fmt.Errorf("%q is longer than %s", name, formatSize(maxSecret))
	}
	return string(b), err
}

// show writes the wrong parts of a value for an error. They are quoted, since
// they may hold anything, and cut, since they may be long.
func (s *setting) show(wrong []string) string {
	if s.kind.secret {
		return "something else"
	}
	const most = 100 // characters
	quoted := make([]string, len(wrong))
	for i, part := range wrong {
		quoted[i] = strconv.Quote(part)
		if utf8.RuneCountInString(part) > most {
			quoted[i] = fmt.Sprintf("%.*q...", most, part)
		}
	}
	return strings.Join(quoted, ", ")
}

// variables returns the WEIR_ variables that are set.
func variables(environ []string) map[string]string {
	vars := make(map[string]string)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, prefix) {
			vars[name] = strings.TrimSpace(value)
		}
	}
	maps.DeleteFunc(vars, func(_, value string) bool { return value == "" })
	return vars
}

// takeScenarios hands the variables that tune scenarios to c and returns an
// error for each that is neither one of them nor a setting. Values are left out
// of it: a misspelt name may be that of a secret.
func takeScenarios(c *Config, settings []setting, vars map[string]string) (errs []error) {
	var known []string
	for _, s := range settings {
		known = append(known, s.name)
		if s.kind.secret {
			known = append(known, s.name+fileSuffix)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		switch {
		case strings.HasPrefix(name, scenarioPrefix):
			c.Scenario[name] = vars[name]
			c.values = append(c.values, Value{Name: name, Value: vars[name], Origin: OriginEnvironment, Doc: "tunes a scenario"})
		case !slices.Contains(known, name):
			errs = append(errs, fmt.Errorf("%q is not a setting: the nearest is %q", name, nearest(name, known)))
		}
	}
	return errs
}

// blame puts an error, or each of those that it joins, down to the first of the
// named settings. What that is for is not said of each of many.
func blame(names []string, err error) error {
	if len(names) == 0 {
		return err
	}
	s := mustFind(names[0])
	if _, joined := err.(interface{ Unwrap() []error }); !joined {
		return s.blame(err)
	}
	var errs []error
	for _, err := range leaves(err) {
		errs = append(errs, fmt.Errorf("%s: %w", s.label(), err))
	}
	return errors.Join(errs...)
}

// leaves gives the errors that an error joins, or that itself.
func leaves(err error) (list []error) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	for _, err := range joined.Unwrap() {
		list = append(list, leaves(err)...)
	}
	return list
}

// blame says which setting an error is about, and what that is for.
func (s *setting) blame(err error) error { return fmt.Errorf("%s: %w (%s)", s.label(), err, s.doc) }

func mustFind(name string) setting {
	for _, s := range new(Config).settings() {
		if s.name == name {
			return s
		}
	}
	panic("BUG: no setting " + name)
}

func (l *Loader) covers(s *setting) bool {
	return len(l.sections) == 0 || slices.Contains(l.sections, s.section())
}
