package expression

import (
	"encoding/json"
	"errors"
	"testing"
)

// known is an item with a value of every kind, as DynamoDB's JSON.
const known = `{
	"s": {"S": "héllo"}, "n": {"N": "12.5"}, "b": {"B": "YWJj"}, "t": {"BOOL": true}, "z": {"NULL": true},
	"ss": {"SS": ["b", "a"]}, "ns": {"NS": ["1", "2"]}, "bs": {"BS": ["YQ=="]},
	"l": {"L": [{"S": "x"}, {"N": "7"}, {"M": {"in": {"S": "y"}}}]}, "m": {"M": {"k": {"S": "v"}}}
}`

func knownItem(t testing.TB) Item {
	t.Helper()
	var it Item
	if err := json.Unmarshal([]byte(known), &it); err != nil {
		t.Fatal(err)
	}
	return it
}

// knownPlaceholders stands for values of every kind.
func knownPlaceholders(t testing.TB) *Placeholders {
	t.Helper()
	values := make(map[string]Value)
	for name, v := range knownItem(t) {
		values[":"+name] = v
	}
	p, err := NewPlaceholders(map[string]string{"#s": "s", "#odd": "an odd.name"}, values)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wantError fails unless err is nil or what DynamoDB calls a ValidationException.
func wantError(t *testing.T, err error) bool {
	t.Helper()
	var bad *Error
	if err != nil && !errors.As(err, &bad) {
		t.Fatalf("%v is a %T", err, err)
	}
	return err == nil
}

func asJSON(t *testing.T, it Item) string {
	t.Helper()
	b, err := json.Marshal(it)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func FuzzCondition(f *testing.F) {
	for _, seed := range []string{
		"s = :s AND NOT (n BETWEEN :n AND :n OR b IN (:b, :s))", "attribute_not_exists(m.k)AND l[2].in <> :s", "size(ss) >= :n and begins_with(#s, :s)",
		"contains(l, :s) or attribute_type(#odd, :s)", "((s = :s))", "NOT NOT s = :s", "l[99999999999999999999] = :s", "(((((((((s", "s = s",
	} {
		f.Add(seed)
	}
	it := knownItem(f)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := knownPlaceholders(t).Condition(text)
		if !wantError(t, err) {
			return
		}
		held := c.Holds(it)
		c.Holds(nil)
		if _, _, err := c.Keys(Key{"s", String}, Key{"n", Number}); err != nil {
			wantError(t, err)
		}
		again, err := knownPlaceholders(t).Condition("NOT (" + text + ")")
		if err == nil && again.Holds(it) == held {
			t.Errorf("%q and its negation are both %v", text, held)
		}
	})
}

func FuzzUpdate(f *testing.F) {
	for _, seed := range []string{
		"SET s = :s, l[1] = if_not_exists(absent, :n) + n REMOVE m.k ADD ns :ns DELETE ss :ss", "SET l = list_append(l, :l), #odd = :m", "REMOVE l[0], l[2]",
		"SET n = n - :n", "ADD n :n", "SET l[7] = :s", "SET m.x = m, s = (n)", "SET", "ADD", "SET a = b c",
	} {
		f.Add(seed)
	}
	it := knownItem(f)
	f.Fuzz(func(t *testing.T, text string) {
		before := asJSON(t, it)
		u, err := knownPlaceholders(t).Update(text)
		if !wantError(t, err) {
			return
		}
		got, err := u.Apply(it)
		if after := asJSON(t, it); after != before {
			t.Fatalf("%q changed the item it was applied to: %s", text, after)
		}
		if !wantError(t, err) {
			return
		}
		var again Item
		if err := json.Unmarshal([]byte(asJSON(t, got)), &again); err != nil {
			t.Fatalf("%q made what is no item: %v", text, err)
		}
		u.Touched(got)
		for name, v := range got {
			if old, ok := it[name]; !u.Changes(name) && (!ok || !old.Equal(v)) {
				t.Errorf("%q changed %s, but says it does not", text, name)
			}
		}
	})
}

func FuzzProjection(f *testing.F) {
	for _, seed := range []string{"s, n", "l[2].in, l[0], m.k", "#s, #odd", "s, s", "l[1], l.x", ","} {
		f.Add(seed)
	}
	it := knownItem(f)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := knownPlaceholders(t).Projection(text)
		if !wantError(t, err) {
			return
		}
		out := p.Of(it)
		for name, v := range out {
			if _, ok := it[name]; !ok || v.Kind() != it[name].Kind() {
				t.Errorf("%q shows %s, which is not there so", text, name)
			}
		}
		if ItemSize(out) > ItemSize(it) {
			t.Errorf("%q shows more than there is", text)
		}
	})
}

func FuzzValue(f *testing.F) {
	for _, seed := range []string{
		known, `{"a": {"N": "-1.5e-3"}}`, `{"a": {"S": null}}`, `{"a": {}}`, `{"a": {"S": "x", "N": "1"}}`, `{"a": {"NS": ["1", "1.0"]}}`, `{"a": null}`,
		`{"a": {"L": [{"L": [{"L": []}]}]}}`, `{"a": {"N": "1e999999999999999999999"}}`, `{"a": {"M": {"": {"NULL": false}}}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var it Item
		if json.Unmarshal([]byte(text), &it) != nil || it == nil {
			return
		}
		var again Item
		if err := json.Unmarshal([]byte(asJSON(t, it)), &again); err != nil {
			t.Fatalf("%s was read, but not what was written of it: %v", text, err)
		}
		if len(it) != len(again) || ItemSize(it) != ItemSize(again) {
			t.Errorf("%s came back as %s", text, asJSON(t, again))
		}
		for name, v := range it {
			if !v.Equal(again[name]) {
				t.Errorf("%s: %s came back otherwise", text, name)
			}
		}
	})
}
