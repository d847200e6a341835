package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// DefaultTarget is the name of the target that plain settings describe.
const DefaultTarget = "default"

// cloudFrontRegion is where AWS keeps everything of scope CLOUDFRONT.
const cloudFrontRegion = "us-east-1"

// Target is one place that decisions are written to: IP sets of one scope, in one
// region, reached with one role.
type Target struct {
	Name  string // in metrics, logs and commands
	Where string // "targets.yaml:3"; "" = plain settings describe it
	Wrong bool   // some of what the file says of it makes no sense, and is as plain settings say

	Scope      string // "CLOUDFRONT" or "REGIONAL"
	Region     string // "" = that of the AWS configuration; never another than us-east-1 for CLOUDFRONT
	Role       string // ARN of a role to take on; "" = none
	ExternalID string // "" = none
	Session    string
	Sets       []string // to be read by package waf

	WritesPerSecond float64
	BlockStatus     int
	Fallback        string // "block", "captcha", "challenge", "count" or "none"
	DryRun          bool

	// What it takes; nil = everything. Decisions that no scenario made are not
	// judged by Scenarios, of which each is a name or, with a * at its end, the
	// beginning of names.
	Scenarios []string
	Origins   []string
	Actions   []string
}

// Targets returns the targets: those of the file that WAF.Targets names, or the one
// that the other settings describe.
func (c *Config) Targets() []Target {
	if c.WAF.Targets == "" || c.targets == nil {
		return []Target{c.plain()}
	}
	return slices.Clone(c.targets)
}

// plain is the target that plain settings describe; those of a file begin as it.
func (c *Config) plain() Target {
	w := &c.WAF
	return Target{
		Name: DefaultTarget, Scope: w.Scope, Region: w.Region, Role: w.Role, ExternalID: w.ExternalID, Session: w.Session,
		Sets: w.Sets, WritesPerSecond: w.WritesPerSecond, BlockStatus: w.BlockStatus, Fallback: w.Fallback, DryRun: w.DryRun,
	}
}

// checkRegion: everything of scope CLOUDFRONT is in one region.
func (t *Target) checkRegion() error {
	if t.Scope == "CLOUDFRONT" && t.Region != "" && t.Region != cloudFrontRegion {
		return fmt.Errorf("got %q, want none: everything of scope CLOUDFRONT is in %s", t.Region, cloudFrontRegion)
	}
	return nil
}

// checkExternalID: what is not asked for is a mistake in something else.
func (t *Target) checkExternalID() error {
	if t.ExternalID != "" && t.Role == "" {
		return errors.New("set, and no role is that could ask for it")
	}
	return nil
}

// keys are what a file may say of a target, as it does for settings: what each may
// be, and which field it fills.
func (t *Target) keys() map[string]kind {
	const several = "a list of "
	return map[string]kind{
		"name":              formed(&t.Name, "a name of up to 32 letters, digits and any of _ . -", "", targetForm),
		"scope":             choice(&t.Scope, "CLOUDFRONT", "REGIONAL"),
		"region":            region(&t.Region),
		"role":              role(&t.Role),
		"external_id":       externalID(&t.ExternalID),
		"session":           session(&t.Session),
		"sets":              words(&t.Sets, several+"name prefixes and ARNs, each alone or as POOL=PREFIX", ""),
		"writes_per_second": rate(&t.WritesPerSecond, 0.01, 1),
		"block_status":      status(&t.BlockStatus),
		"fallback":          fallback(&t.Fallback),
		"dry_run":           yes(&t.DryRun),
		"scenarios":         words(&t.Scenarios, several+"names of scenarios, or of beginnings with a * behind", ""),
		"origins":           words(&t.Origins, several+"origins", ""),
		"actions":           words(&t.Actions, several+"actions", ""),
	}
}

// targetForm is short and plain, as the name is a label of every metric.
var targetForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$`)

// keyForm is of keys that are told as they are; others are quoted.
var keyForm = regexp.MustCompile(`^[!-~]+$`)

// readTargets reads the file that lists targets, if there is one. Its error joins
// one for everything that is wrong, each with file, line and key. What makes sense
// all the same is for the checks that come later, so that all is told at once.
func (l *Loader) readTargets(c *Config) error {
	if c.WAF.Targets == "" {
		return nil
	}
	text, err := l.readFile(c.WAF.Targets)
	if err != nil {
		return fmt.Errorf("read the targets: %w", err)
	}
	c.targets, err = parseTargets(c.WAF.Targets, text, c.plain())
	return err
}

// parseTargets reads targets, each of which begins as base. With an error it gives
// those that it could read.
func parseTargets(file, text string, base Target) ([]Target, error) {
	p := &targetsParser{file: file, base: base, lines: make(map[string]int)}
	p.document(text)
	return p.list, errors.Join(p.errs...)
}

type targetsParser struct {
	file  string
	base  Target
	list  []Target
	lines map[string]int // by the name of a target
	errs  []error
}

func (p *targetsParser) fail(line int, key, format string, args ...any) {
	if !keyForm.MatchString(key) { // a key of several lines would break the message up
		key = strconv.Quote(key)
	}
	p.errs = append(p.errs, fmt.Errorf("%s:%d: %s: %s", p.file, line, key, fmt.Sprintf(format, args...)))
}

func (p *targetsParser) document(text string) {
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		p.fail(1, "targets", "it is missing: the file is empty")
		return
	case err != nil:
		p.errs = append(p.errs, fmt.Errorf("%s: %s", p.file, strings.TrimPrefix(err.Error(), "yaml: ")))
		return
	}
	root := first.Content[0]
	if root.Kind != yaml.MappingNode {
		p.fail(root.Line, "targets", "it is missing: the file has to be a mapping with this one key")
		return
	}
	var list *yaml.Node
	p.mapping(root, []string{"targets"}, func(_ string, n *yaml.Node) { list = n })
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		p.fail(max(1, second.Line), "targets", "only one YAML document is read, and there is more")
	}
	switch {
	case list == nil:
		p.fail(root.Line, "targets", "it is missing")
	case list.Kind != yaml.SequenceNode || len(list.Content) == 0:
		p.fail(list.Line, "targets", "it has to be a list of targets, one at least")
	default:
		for _, n := range list.Content {
			p.target(n)
		}
	}
}

// mapping hands the values of the known keys to take, each once.
func (p *targetsParser) mapping(n *yaml.Node, known []string, take func(key string, n *yaml.Node)) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case !slices.Contains(known, key.Value):
			p.fail(key.Line, key.Value, "there is no such key: the nearest is %s", nearest(key.Value, known))
		case seen[key.Value]:
			p.fail(key.Line, key.Value, "it is there twice")
		default:
			take(key.Value, value)
		}
		seen[key.Value] = true
	}
}

func (p *targetsParser) target(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		p.fail(n.Line, "targets", "a target has to be a mapping of keys to values")
		return
	}
	t, before := p.base, len(p.errs)
	t.Name, t.Where = "", fmt.Sprintf("%s:%d", p.file, n.Line)
	kinds := t.keys()
	known := make([]string, 0, len(kinds))
	for key := range kinds {
		known = append(known, key)
	}
	slices.Sort(known)
	said := map[string]bool{}
	p.mapping(n, known, func(key string, value *yaml.Node) {
		said[key] = true
		p.value(kinds[key], key, value)
	})
	if t.Scope == "CLOUDFRONT" && !said["region"] {
		t.Region = "" // what the plain settings say is for those of scope REGIONAL
	}
	if at, twice := p.lines[t.Name]; twice {
		p.fail(n.Line, "name", "%q is the name of the target in line %d, too", t.Name, at)
	} else if !said["name"] {
		p.fail(n.Line, "name", "it is missing")
	}
	if err := t.checkRegion(); err != nil {
		p.fail(n.Line, "region", "%v", err)
	}
	if err := t.checkExternalID(); err != nil {
		p.fail(n.Line, "external_id", "%v", err)
	}
	if t.Name != "" {
		p.lines[t.Name] = n.Line
	}
	t.Wrong = len(p.errs) > before
	p.list = append(p.list, t)
}

// value reads a scalar, or a list of them as the kinds of lists have it: with
// commas.
func (p *targetsParser) value(k kind, key string, n *yaml.Node) {
	parts := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode && k.list {
		parts = n.Content
	}
	var texts []string
	for _, part := range parts {
		switch {
		case part.Kind != yaml.ScalarNode || part.Tag == "!!null":
			p.fail(part.Line, key, "want %s", k.want)
			return
		case n.Kind == yaml.SequenceNode && strings.Contains(part.Value, ","):
			p.fail(part.Line, key, "%.100q holds a comma", part.Value)
			return
		}
		texts = append(texts, part.Value)
	}
	s := setting{kind: k}
	if wrong := k.set(strings.TrimSpace(strings.Join(texts, ","))); wrong != nil {
		p.fail(n.Line, key, "got %s, want %s", s.show(wrong), k.want)
	}
}
