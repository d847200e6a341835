package waf

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"pgregory.net/rapid"

	"weir/internal/awslocal"
)

// filler sets every member of a value of the SDK's types, by reflection, so that a
// member that the SDK gets one day is in the tests by itself.
type filler struct {
	set, group string // ARNs that may be referred to
	actions    int    // so that every action has its turn
}

func (f *filler) fill(v reflect.Value) {
	switch out := v.Addr().Interface().(type) {
	case *types.Statement:
		*out = *setStatement(f.set) // what contains statements contains simple ones
		return
	case *types.RuleAction: // exactly one member
		f.actions++
		f.fillMember(v, f.actions)
		return
	case *types.DefaultAction:
		f.fillMember(v, 1)
		return
	case *types.OverrideAction:
		f.actions++
		f.fillMember(v, f.actions)
		return
	case *types.CustomResponse:
		f.fillStruct(v)
		out.ResponseCode = new(int32(403))
		return
	case *types.ImmunityTimeProperty:
		out.ImmunityTime = new(int64(400))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Struct:
		f.fillStruct(v)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte("<&>\x00"))
			return
		}
		n := 1
		if v.Type().Elem() == reflect.TypeFor[types.Statement]() {
			n = 2
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			f.fill(v.Index(i))
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key)
		f.fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		text := "x"
		if values := v.MethodByName("Values"); values.IsValid() {
			text = values.Call(nil)[0].Index(0).String()
		}
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(1.5)
	default:
		panic("no way to fill a " + v.Type().String())
	}
}

func (f *filler) fillStruct(v reflect.Value) {
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			f.fill(v.Field(i))
		}
	}
}

// fillMember fills one of the exported members, by turns.
func (f *filler) fillMember(v reflect.Value, turn int) {
	fields := reflect.VisibleFields(v.Type())
	fields = slices.DeleteFunc(fields, func(x reflect.StructField) bool { return !x.IsExported() })
	f.fill(v.FieldByIndex(fields[turn%len(fields)].Index))
}

// everything is a web ACL with every member set, with a rule for each kind of
// statement that there is, and all actions.
func everything(set, group string) *wafv2.CreateWebACLInput {
	f := &filler{set: set, group: group}
	in := new(wafv2.CreateWebACLInput)
	f.fillStruct(reflect.ValueOf(in).Elem())
	in.Name, in.Scope, in.Description, in.Rules = new("site"), types.ScopeCloudfront, new("with everything"), nil
	kinds := reflect.TypeFor[types.Statement]()
	for i := range kinds.NumField() {
		kind := kinds.Field(i)
		if !kind.IsExported() {
			continue
		}
		var r types.Rule
		f.fillStruct(reflect.ValueOf(&r).Elem())
		r.Name, r.Priority = new(kind.Name), int32(len(in.Rules)) // no room anywhere
		r.Statement = new(types.Statement)
		f.fill(reflect.ValueOf(r.Statement).Elem().Field(i))
		switch s := r.Statement; {
		case s.IPSetReferenceStatement != nil:
			s.IPSetReferenceStatement.ARN = &set
		case s.RuleGroupReferenceStatement != nil:
			s.RuleGroupReferenceStatement.ARN = &group
		}
		if s := r.Statement; s.RuleGroupReferenceStatement != nil || s.ManagedRuleGroupStatement != nil {
			r.Action, r.RuleLabels = nil, nil
		} else {
			r.OverrideAction = nil
		}
		in.Rules = append(in.Rules, r)
	}
	return in
}

// raw reads a web ACL as AWS has it, whatever the SDK makes of that.
func raw(t *testing.T, c *wafv2.Client, id *string) map[string]any {
	t.Helper()
	var answer []byte
	_, err := c.GetWebACL(t.Context(), &wafv2.GetWebACLInput{Id: id, Name: new("site"), Scope: types.ScopeCloudfront}, callOptions(types.ScopeCloudfront), capture(&answer))
	if err != nil {
		t.Fatal(err)
	}
	var out struct{ WebACL map[string]any }
	if err := json.Unmarshal(answer, &out); err != nil {
		t.Fatal(err)
	}
	delete(out.WebACL, "LockToken") // moto has it here, too
	return out.WebACL
}

func TestEveryMemberOfTheWebACLSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		c := client(s)
		east := callOptions(types.ScopeCloudfront)
		set := bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, Prefix: "other-", Sets: blocks(1, 0)})
		pass(time.Second)
		group, err := c.CreateRuleGroup(t.Context(), &wafv2.CreateRuleGroupInput{
			Name: new("x"), Scope: types.ScopeCloudfront, Capacity: new(int64(1)), VisibilityConfig: visibility("x"),
			Rules: []types.Rule{{Name: new("x"), Statement: setStatement(set.SetARNs[0]), Action: &types.RuleAction{Count: &types.CountAction{}}, VisibilityConfig: visibility("x")}},
		}, east)
		if err != nil {
			t.Fatal(err)
		}
		in := everything(set.SetARNs[0], *group.Summary.ARN)
		in.Rules[0].Action = &types.RuleAction{Allow: &types.AllowAction{}}
		lead := slices.IndexFunc(in.Rules, func(r types.Rule) bool { return r.Action == nil || r.Action.Allow == nil })
		for _, f := range reflect.VisibleFields(reflect.TypeFor[wafv2.CreateWebACLInput]()) {
			if f.IsExported() && reflect.ValueOf(in).Elem().FieldByIndex(f.Index).IsZero() {
				t.Errorf("the test's web ACL has no %s", f.Name)
			}
		}
		made, err := c.CreateWebACL(t.Context(), in, east)
		if err != nil {
			t.Fatal(err)
		}
		id := made.Summary.Id
		before := raw(t, c, id)
		cfg := BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(1, 0), WebACL: *made.Summary.ARN}
		r := bootstrapped(t, s, cfg)
		if d := r.Items[2].Detail; d != fmt.Sprintf("rule weir-bans added with priority %d, the %d rules after it moved down by 2", lead, len(in.Rules)-lead) {
			t.Errorf("changed: %s", d)
		}
		during := raw(t, c, id)
		for member, want := range before {
			if got := during[member]; member != "Rules" && member != "Capacity" && !reflect.DeepEqual(got, want) {
				t.Errorf("with our rule %s is %v, it was %v", member, got, want)
			}
		}
		was, is := before["Rules"].([]any), during["Rules"].([]any)
		if len(is) != len(was)+1 {
			t.Fatalf("%d rules", len(is))
		}
		for i := range was {
			old, now := was[i].(map[string]any), is[i].(map[string]any)
			if shift := now["Priority"].(float64) - old["Priority"].(float64); (shift == 2) != (i >= lead) {
				t.Errorf("rule %v was moved by %v", old["Name"], shift)
			}
			now["Priority"] = old["Priority"]
			if !reflect.DeepEqual(old, now) {
				t.Errorf("rule %v was changed:\n%v\n%v", old["Name"], old, now)
			}
		}
		n := changes(s)
		if r := bootstrapped(t, s, cfg); r.Changed() || changes(s) != n {
			t.Errorf("a second run did %s", dones(r))
		}
		for _, mode := range []Mode{Observe, Enforce} {
			if _, err := Override(t.Context(), c, OverrideConfig{Scope: types.ScopeCloudfront, WebACL: "site", Mode: mode}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Remove(t.Context(), c, RemoveConfig{Scope: types.ScopeCloudfront}); err != nil {
			t.Fatal(err)
		}
		if after := raw(t, c, id); !reflect.DeepEqual(before, after) {
			t.Errorf("before: %v\nafter:  %v", before, after)
		}
	})
}

// What the SDK adds one day must be known as sent back, or as read-only.
func TestUpdatesCoverAllThatIsRead(t *testing.T) {
	check := func(in, read reflect.Type) {
		t.Helper()
		for _, f := range reflect.VisibleFields(read) {
			if _, taken := in.FieldByName(f.Name); f.IsExported() && taken == slices.Contains(readOnly(), f.Name) {
				t.Errorf("%s.%s is taken by updates: %v", read, f.Name, taken)
			}
		}
	}
	check(reflect.TypeFor[wafv2.UpdateWebACLInput](), reflect.TypeFor[types.WebACL]())
	check(reflect.TypeFor[wafv2.UpdateRuleGroupInput](), reflect.TypeFor[types.RuleGroup]())
}

// Wherever there is room or none: our rule comes after those that allow at the top
// and before all others, their order stays, and all that was moved goes back.
func TestPlaceProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rules []types.Rule
		for _, p := range rapid.SliceOfNDistinct(rapid.Int32Range(0, 12), 0, 8, rapid.ID).Draw(t, "priorities") {
			r := types.Rule{Name: new(fmt.Sprint(p)), Priority: p, Action: &types.RuleAction{Count: &types.CountAction{}}}
			if rapid.Bool().Draw(t, "allows") {
				r.Action = &types.RuleAction{Allow: &types.AllowAction{}}
			}
			rules = append(rules, r)
		}
		names := func(rules []types.Rule) (list []string) {
			for _, i := range byPriority(rules) {
				list = append(list, *rules[i].Name)
			}
			return list
		}
		before := names(rules)
		ours, moved := place(rules)
		now := slices.Clone(rules)
		for _, i := range moved {
			now[i].Priority += moveBy
		}
		now = append(now, types.Rule{Name: new("ours"), Priority: ours})
		seen := make(map[int32]bool)
		for _, r := range now {
			if r.Priority < 0 || seen[r.Priority] {
				t.Fatalf("priority %d: negative, or twice", r.Priority)
			}
			seen[r.Priority] = true
		}
		after := names(now)
		at := slices.Index(after, "ours")
		if !slices.Equal(slices.Delete(slices.Clone(after), at, at+1), before) {
			t.Fatalf("the order was %v, it is %v", before, after)
		}
		for n, i := range byPriority(now) {
			if r := now[i]; n < at && r.Action.Allow == nil || n == at+1 && r.Action.Allow != nil {
				t.Fatalf("ours is at place %d of %v", at, after)
			}
		}
		for _, i := range movedBy(now, len(now)-1) {
			now[i].Priority -= moveBy
		}
		for i := range rules {
			if rules[i].Priority != now[i].Priority {
				t.Fatalf("rule %s ends at priority %d, after our %d", *rules[i].Name, now[i].Priority, ours)
			}
		}
	})
}

func TestPlace(t *testing.T) {
	allow := &types.RuleAction{Allow: &types.AllowAction{}}
	for _, tt := range []struct {
		allows, others []int32
		want           int32
		moved          int
	}{
		{nil, nil, 10, 0},
		{nil, []int32{1}, 0, 0},
		{nil, []int32{50, 20}, 19, 0},
		{nil, []int32{0, 5}, 0, 2},
		{[]int32{3}, nil, 14, 0},
		{[]int32{0, 1}, []int32{2, 3, 9}, 2, 3},
		{[]int32{0, 8}, []int32{2}, 1, 0}, // the second one is not at the top
	} {
		var rules []types.Rule
		for _, p := range tt.allows {
			rules = append(rules, types.Rule{Priority: p, Action: allow})
		}
		for _, p := range tt.others {
			rules = append(rules, types.Rule{Priority: p, OverrideAction: &types.OverrideAction{}})
		}
		if got, moved := place(rules); got != tt.want || len(moved) != tt.moved {
			t.Errorf("%v %v: priority %d, %d moved", tt.allows, tt.others, got, len(moved))
		}
	}
}

// A reference of the owner's making goes, too, and moves nothing.
func TestRemoveLeavesTheOwnersOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		c := client(s)
		east := callOptions(types.ScopeCloudfront)
		r := bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(1, 0)})
		rule := func(name string, priority int32) types.Rule {
			return types.Rule{
				Name: &name, Priority: priority, VisibilityConfig: visibility(name), OverrideAction: &types.OverrideAction{None: &types.NoneAction{}},
				Statement: &types.Statement{RuleGroupReferenceStatement: &types.RuleGroupReferenceStatement{ARN: &r.RuleGroupARN}},
			}
		}
		own := types.Rule{Name: new("own"), Priority: 2, VisibilityConfig: visibility("own"), Statement: setStatement(r.SetARNs[0]), Action: &types.RuleAction{Count: &types.CountAction{}}}
		made, err := c.CreateWebACL(t.Context(), &wafv2.CreateWebACLInput{
			Name: new("site"), Scope: types.ScopeCloudfront, DefaultAction: &types.DefaultAction{Allow: &types.AllowAction{}}, VisibilityConfig: visibility("site"),
			Rules: []types.Rule{rule("bans", 0), own, rule("again", 7)},
		}, east)
		if err != nil {
			t.Fatal(err)
		}
		removed(t, s, RemoveConfig{Scope: types.ScopeCloudfront})
		got, err := c.GetWebACL(context.WithoutCancel(t.Context()), &wafv2.GetWebACLInput{ARN: made.Summary.ARN}, east)
		if err != nil {
			t.Fatal(err)
		}
		if rules := got.WebACL.Rules; len(rules) != 1 || !reflect.DeepEqual(rules[0], own) {
			t.Errorf("left are %+v", rules)
		}
	})
}

func removed(t *testing.T, s *awslocal.Server, cfg RemoveConfig) Report {
	t.Helper()
	r, err := Remove(t.Context(), client(s), cfg)
	if err != nil {
		t.Fatalf("%v after %+v", err, r)
	}
	return r
}
