package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// maxFile is the size in bytes of the largest file of scenarios or data.
const maxFile = 16 << 20

// parse reads the scenarios of one file, each a YAML document. Files are named as
// they are to appear in errors. Everything that is wrong is told at once, with its
// line and key; nothing that a file says is passed over.
func parse(file string, text []byte, data lookup) ([]Scenario, error) {
	var list []Scenario
	var errs []error
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return list, errors.Join(errs...)
		}
		if err != nil {
			return list, errors.Join(append(errs, fmt.Errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "yaml: ")))...)
		}
		p := &parser{file: file}
		s := p.document(&document, data)
		if len(p.errs) > 0 {
			errs = append(errs, p.errs...)
		} else if s != nil {
			list = append(list, *s)
		}
	}
}

// A parser reads one document.
type parser struct {
	file string
	errs []error
}

func (p *parser) fail(n *yaml.Node, key, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s:%d: %s: %s", p.file, n.Line, key, fmt.Sprintf(format, args...)))
}

// keysOfFile returns the keys that a scenario may have, and how each is read.
func keysOfFile() map[string]func(p *parser, s *Scenario, key string, n *yaml.Node) {
	return map[string]func(p *parser, s *Scenario, key string, n *yaml.Node){
		"type":            (*parser).kind,
		"name":            func(p *parser, s *Scenario, key string, n *yaml.Node) { s.Name = p.text(key, n) },
		"description":     func(p *parser, s *Scenario, key string, n *yaml.Node) { s.Description = p.text(key, n) },
		"filter":          func(p *parser, s *Scenario, key string, n *yaml.Node) { s.filter = p.expression(key, n) },
		"groupby":         func(p *parser, s *Scenario, key string, n *yaml.Node) { s.groupby = p.expression(key, n) },
		"distinct":        func(p *parser, s *Scenario, key string, n *yaml.Node) { s.distinct = p.expression(key, n) },
		"drain":           (*parser).drained,
		"cancel_on":       func(p *parser, s *Scenario, key string, n *yaml.Node) { s.cancel = p.expression(key, n) },
		"condition":       func(p *parser, s *Scenario, key string, n *yaml.Node) { s.condition = p.expression(key, n) },
		"overflow_filter": func(p *parser, s *Scenario, key string, n *yaml.Node) { s.overflow = p.expression(key, n) },
		"capacity":        func(p *parser, s *Scenario, key string, n *yaml.Node) { s.Capacity = p.number(key, n) },
		"leakspeed":       func(p *parser, s *Scenario, key string, n *yaml.Node) { s.Leak = p.duration(key, n) },
		"blackhole":       func(p *parser, s *Scenario, key string, n *yaml.Node) { s.Blackhole = p.duration(key, n) },
		"duration":        (*parser).counterDuration,
		"spacing":         func(p *parser, s *Scenario, key string, n *yaml.Node) { s.Spacing = p.duration(key, n) },
		"cache_size":      (*parser).cacheSize,
		"reprocess":       (*parser).reprocess,
		"scope":           (*parser).scope,
		"data":            (*parser).data,
		"labels":          (*parser).labels,
		"severity":        (*parser).severity,
		"ban":             func(p *parser, s *Scenario, key string, n *yaml.Node) { s.Ban = p.duration(key, n) },
		"action":          func(p *parser, s *Scenario, key string, n *yaml.Node) { s.Action = p.text(key, n) },
		"mode":            (*parser).mode,
		"range":           (*parser).networks,
		"members":         func(p *parser, s *Scenario, key string, n *yaml.Node) { s.Group.Members = p.boolean(key, n) },
		"shield":          (*parser).shield,
		"weight":          (*parser).weight,
		"sample":          func(p *parser, s *Scenario, key string, n *yaml.Node) { s.Sample = p.number(key, n) },

		// What these say changes nothing here, nor in what CrowdSec finds.
		"format":     func(*parser, *Scenario, string, *yaml.Node) {},
		"debug":      func(*parser, *Scenario, string, *yaml.Node) {},
		"author":     func(*parser, *Scenario, string, *yaml.Node) {},
		"references": func(*parser, *Scenario, string, *yaml.Node) {},
	}
}

// document reads a scenario, nil if the document is empty.
func (p *parser) document(d *yaml.Node, data lookup) *Scenario {
	if len(d.Content) == 0 || d.Content[0].Tag == "!!null" {
		return nil
	}
	root := d.Content[0]
	if root.Kind != yaml.MappingNode {
		p.fail(root, "document", "it is not a mapping of keys to values, as a scenario is")
		return nil
	}
	s := &Scenario{Origin: fmt.Sprintf("%s:%d", p.file, root.Line), file: p.file, lookup: data, Severity: Medium}
	seen, known := map[string]bool{}, keysOfFile()
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		read, ok := known[key.Value]
		switch {
		case !ok:
			p.fail(key, key.Value, "there is no such key: the nearest is %s", nearest(key.Value, slices.Sorted(maps.Keys(known))))
		case seen[key.Value]:
			p.fail(key, key.Value, "it is there twice")
		default:
			read(p, s, key.Value, value)
		}
		seen[key.Value] = true
	}
	p.complete(root, s, seen)
	return s
}

// complete checks what follows from several keys together.
func (p *parser) complete(root *yaml.Node, s *Scenario, seen map[string]bool) {
	for _, key := range []string{"type", "name", "filter"} {
		if !seen[key] {
			p.fail(root, key, "it is missing")
		}
	}
	if len(p.errs) > 0 {
		return
	}
	if err := s.group(); err != nil {
		p.fail(root, "groupby", "%v", err)
	}
	switch {
	case s.Kind == Conditional && !seen["condition"]:
		p.fail(root, "condition", "a conditional scenario needs one")
	case s.Kind != Conditional && seen["condition"]:
		p.fail(root, "condition", "only a conditional scenario has one")
	}
	if s.Kind == Trigger {
		for _, key := range []string{"spacing", "weight", "drain", "members", "sample"} {
			if seen[key] {
				p.fail(root, key, "a trigger does not count, so it has none")
			}
		}
		// CrowdSec's triggers overflow before they look at these.
		s.distinct = expression{}
	}
	if seen["sample"] {
		if err := s.checkSample(); err != nil {
			p.fail(root, "sample", "%v", err)
		}
	}
	s.Queue = s.condition.text != "" || s.overflow.text != ""
	if err := s.check(); err != nil {
		for _, e := range flatten(err) {
			p.fail(root, s.Name, "%v", e)
		}
	}
}

func flatten(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	return []error{err}
}

func (p *parser) text(key string, n *yaml.Node) string {
	text := strings.TrimSpace(n.Value)
	if n.Kind != yaml.ScalarNode || text == "" {
		p.fail(n, key, "it is not a text")
	}
	if key == "name" && strings.ContainsFunc(text, unicode.IsControl) || strings.ContainsFunc(text, isUnprintable) {
		p.fail(n, key, "it holds control characters")
	}
	return text
}

func isUnprintable(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' }

func (p *parser) expression(key string, n *yaml.Node) expression {
	return expression{text: p.text(key, n), key: key, line: n.Line}
}

func (p *parser) number(key string, n *yaml.Node) int {
	v, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		p.fail(n, key, "%q is not a whole number", n.Value)
	}
	return v
}

func (p *parser) duration(key string, n *yaml.Node) time.Duration {
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		p.fail(n, key, "%q is not a duration such as 10s", n.Value)
	}
	return d
}

func (p *parser) boolean(key string, n *yaml.Node) bool {
	var v bool
	if n.Kind != yaml.ScalarNode || n.Decode(&v) != nil {
		p.fail(n, key, "%q is neither true nor false", n.Value)
	}
	return v
}

func (p *parser) kind(s *Scenario, key string, n *yaml.Node) {
	if n.Value == "counter" || n.Value == "bayesian" {
		p.fail(n, key, "%s scenarios are not supported: leaky, trigger and conditional are", n.Value)
		return
	}
	s.Kind = Kind(p.word(key, n, kindNames[:]))
}

func (p *parser) counterDuration(s *Scenario, key string, n *yaml.Node) {
	p.duration(key, n)
	p.fail(n, key, "only counter scenarios have a duration, and they are not supported: leakspeed says how long a bucket lives")
}

// reprocess offers alerts to scenarios that ask for evt.Overflow. There can be none of
// these, so it is checked, and nothing comes of it.
func (p *parser) reprocess(_ *Scenario, key string, n *yaml.Node) { p.boolean(key, n) }

// cacheSize reads how many requests an alert carries; -1 is as many as it can.
func (p *parser) cacheSize(s *Scenario, key string, n *yaml.Node) {
	size := p.number(key, n)
	if size < -1 || size > MaxCacheSize {
		p.fail(n, key, "%d: allowed are 0 to %d, or -1", size, MaxCacheSize)
	}
	s.CacheSize = max(0, size)
}

// word returns the index of a text in the words that are allowed.
func (p *parser) word(key string, n *yaml.Node, words []string) int {
	i := slices.Index(words, n.Value)
	if i < 0 {
		p.fail(n, key, "%q: allowed are %s", n.Value, strings.Join(words, ", "))
	}
	return max(0, i)
}

func (p *parser) severity(s *Scenario, key string, n *yaml.Node) {
	s.Severity = Severity(p.word(key, n, severityNames[:]))
}

func (p *parser) mode(s *Scenario, key string, n *yaml.Node) {
	s.Mode = Mode(p.word(key, n, modeNames[:]))
}

func (p *parser) weight(s *Scenario, key string, n *yaml.Node) {
	s.weight = weight(p.word(key, n, weightNames[:]))
}

// pairs calls f for each key of a mapping.
func (p *parser) pairs(key string, n *yaml.Node, f func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, key, "it is not a mapping of keys to values")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if seen[k.Value] {
			p.fail(k, key+"."+k.Value, "it is there twice")
		}
		seen[k.Value] = true
		f(k, n.Content[i+1])
	}
}

// networks reads the sizes of networks that a range scenario counts.
func (p *parser) networks(s *Scenario, key string, n *yaml.Node) {
	p.pairs(key, n, func(k, v *yaml.Node) {
		bits := p.number(key+"."+k.Value, v)
		switch k.Value {
		case "ipv4":
			if bits < minRangeV4 || bits > 31 {
				p.fail(v, key+".ipv4", "%d: allowed are %d to 31 bits", bits, minRangeV4)
			}
			s.Group.V4 = uint8(bits)
		case "ipv6":
			if bits < minRangeV6 || bits > 64 {
				p.fail(v, key+".ipv6", "%d: allowed are %d to 64 bits", bits, minRangeV6)
			}
			s.Group.V6 = uint8(bits)
		default:
			p.fail(k, key+"."+k.Value, "there is no such key: allowed are ipv4 and ipv6")
		}
	})
}

// drained reads which records take something out of a bucket: a filter, or a filter
// and how many events each of them takes.
func (p *parser) drained(s *Scenario, key string, n *yaml.Node) {
	s.drainBy = 1
	if n.Kind == yaml.ScalarNode {
		s.drain = p.expression(key, n)
		return
	}
	p.pairs(key, n, func(k, v *yaml.Node) {
		switch k.Value {
		case "filter":
			s.drain = p.expression(key+".filter", v)
		case "events":
			if s.drainBy = p.number(key+".events", v); s.drainBy < 1 || s.drainBy > maxDrain {
				p.fail(v, key+".events", "%d: allowed are 1 to %d", s.drainBy, maxDrain)
			}
		default:
			p.fail(k, key+"."+k.Value, "there is no such key: allowed are filter and events")
		}
	})
	if s.drain.text == "" {
		p.fail(n, key, "it has no filter")
	}
}

func (p *parser) shield(s *Scenario, key string, n *yaml.Node) {
	p.pairs(key, n, func(k, v *yaml.Node) {
		switch k.Value {
		case "filter":
			s.shield = p.expression(key+".filter", v)
		case "for":
			s.Shield = p.duration(key+".for", v)
			if s.Shield < time.Minute || s.Shield > MaxShield || s.Shield%time.Minute != 0 {
				p.fail(v, key+".for", "%v: allowed are whole minutes from 1m to %v", s.Shield, MaxShield)
			}
		default:
			p.fail(k, key+"."+k.Value, "there is no such key: allowed are filter and for")
		}
	})
	if s.shield.text == "" || s.Shield == 0 {
		p.fail(n, key, "it needs both filter and for")
	}
}

// scope reads what alerts are about. Weir bans addresses and networks, so there is
// no use in others.
func (p *parser) scope(s *Scenario, key string, n *yaml.Node) {
	p.pairs(key, n, func(k, v *yaml.Node) {
		switch k.Value {
		case "type":
			if v.Value != "Ip" {
				p.fail(v, key+".type", "%q is not supported: Ip is. For networks, group by weir.range", v.Value)
			}
		case "expression":
			if v.Value != "evt.Meta.source_ip" {
				p.fail(v, key+".expression", "%q is not supported: evt.Meta.source_ip is", v.Value)
			}
		default:
			p.fail(k, key+"."+k.Value, "there is no such key: allowed are type and expression")
		}
	})
}

// data reads which files the expressions of a scenario may ask for.
func (p *parser) data(s *Scenario, key string, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		p.fail(n, key, "it is not a list")
		return
	}
	for _, item := range n.Content {
		f := dataFile{line: item.Line, kind: "string"}
		p.pairs(key, item, func(k, v *yaml.Node) {
			switch k.Value {
			case "dest_file":
				f.name = v.Value
			case "type":
				f.kind = v.Value
				if !slices.Contains(dataKinds, v.Value) {
					p.fail(v, key+".type", "%q: allowed are %s", v.Value, strings.Join(dataKinds, ", "))
				}
			case "source_url", "strategy", "size", "ttl", "cache": // where it may be had; how CrowdSec caches
			default:
				p.fail(k, key+"."+k.Value, "there is no such key: allowed are dest_file, type, source_url, strategy, size, ttl and cache")
			}
		})
		if f.name == "" {
			p.fail(item, key, "it names no dest_file")
			continue
		}
		s.files = append(s.files, f)
	}
}

// labels keeps them all as text. remediation has to be a boolean, as CrowdSec takes
// nothing else for one.
func (p *parser) labels(s *Scenario, key string, n *yaml.Node) {
	s.Labels = map[string]string{}
	p.pairs(key, n, func(k, v *yaml.Node) {
		if k.Value == "remediation" {
			s.Remediation = p.boolean(key+".remediation", v)
			return
		}
		switch v.Kind {
		case yaml.ScalarNode:
			s.Labels[k.Value] = v.Value
		case yaml.SequenceNode:
			var items []string
			for _, item := range v.Content {
				if item.Kind != yaml.ScalarNode {
					p.fail(item, key+"."+k.Value, "it is not a list of texts")
				}
				items = append(items, item.Value)
			}
			s.Labels[k.Value] = strings.Join(items, ", ")
		default:
			p.fail(v, key+"."+k.Value, "it is neither a text nor a list of texts")
		}
	})
}
