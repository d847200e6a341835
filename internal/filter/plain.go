package filter

import (
	"maps"
	"strings"

	"github.com/expr-lang/expr/vm"

	"weir/internal/cloudfront"
)

// newEnv makes what the virtual machine sees of a record.
func (s *Set) newEnv(r *cloudfront.Record, facts *Facts) *env {
	q := requestOf(r)
	e := &env{Evt: q.event(), Weir: make(map[string]bool, len(s.opt.Facts))}
	for i, name := range s.opt.Facts {
		e.Weir[strings.TrimPrefix(name, "weir.")] = facts.Has(i)
	}
	return e
}

// plainHolds asks expr whether a filter holds. A filter that fails does not.
func (x *expression) plainHolds(machine *vm.VM, e *env) (bool, error) {
	out, err := x.run(machine, e)
	holds, _ := out.(bool)
	return holds && err == nil, err
}

// plainValue asks expr for a value: "" if it fails.
func (x *expression) plainValue(machine *vm.VM, e *env) (string, error) {
	out, err := x.run(machine, e)
	text, _ := out.(string)
	return text, err
}

func (x *expression) run(machine *vm.VM, e *env) (any, error) {
	if x.setMeta { // what one filter sets, no other sees
		meta := e.Evt.Meta
		e.Evt.Meta = make(map[string]string, len(meta)+1)
		maps.Copy(e.Evt.Meta, meta)
		defer func() { e.Evt.Meta = meta }()
	}
	return machine.Run(x.program, e)
}
