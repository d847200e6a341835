package config

import (
	"fmt"
	"slices"
	"strings"
)

// Origin is where a value came from.
type Origin string

// The origins, from the weakest to the strongest.
const (
	OriginDefault     Origin = "default"
	OriginEnvironment Origin = "environment"
	OriginFile        Origin = "file" // that a variable or a flag names; for secrets
	OriginFlag        Origin = "flag"
)

// hidden stands in for the value of a secret.
const hidden = "(hidden)"

// Value is one setting in force, for people to read.
type Value struct {
	Name    string // of the variable
	Flag    string // "-kinesis-poll"; "" for a variable without one
	Value   string // as one would write it; "" = none, "(hidden)" = a secret that is set
	Default string // the same
	Origin  Origin
	Doc     string // what it is, as the end of a sentence
}

// Values returns the settings of the registered sections in the order in which
// people should read them, and after them the variables that tune scenarios.
func (c *Config) Values() []Value { return slices.Clone(c.values) }

func (s *setting) value(origin Origin) Value {
	v := Value{Name: s.name, Flag: "-" + s.flag(), Value: s.kind.get(), Default: s.def, Origin: origin, Doc: s.doc}
	if s.kind.secret && v.Value != "" {
		v.Value = hidden
	}
	return v
}

// flagValue notes what a flag says. It is judged by [Loader.Load], together with
// everything else.
type flagValue struct {
	text string // what -help shows as the default
	name string
	into map[string]string
}

func (f *flagValue) String() string { return f.text }

func (f *flagValue) Set(s string) error {
	f.into[f.name] = strings.TrimSpace(s)
	return nil
}

// usage is what -help says about the setting. Package flag shows the word in
// back quotes after the flag's name.
func (s *setting) usage() string {
	if s.kind.secret {
		return fmt.Sprintf("`file` that holds the %s; %s (%s%s, or itself in %[3]s)", s.doc, s.kind.want, s.name, fileSuffix)
	}
	want := s.kind.want
	if s.kind.noun != "" {
		want = strings.Replace(want, s.kind.noun, "`"+s.kind.noun+"`", 1)
	}
	return fmt.Sprintf("%s; %s (%s)", s.doc, want, s.name)
}

// Markdown returns the table of all settings, for README.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| Variable | Default | Allowed | What it is |\n|---|---|---|---|\n")
	for _, s := range new(Config).settings() {
		name, def := "`"+s.name+"`", ""
		if s.kind.secret {
			name += " or `" + s.name + fileSuffix + "`"
		}
		if s.def != "" {
			def = "`" + s.def + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, def, s.kind.want, s.doc)
	}
	return b.String()
}
