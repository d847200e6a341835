package expression

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Kind is a data type, spelt as on the wire.
type Kind string

// The kinds of values.
const (
	String    Kind = "S"
	Number    Kind = "N"
	Binary    Kind = "B"
	Bool      Kind = "BOOL"
	Null      Kind = "NULL"
	Map       Kind = "M"
	List      Kind = "L"
	StringSet Kind = "SS"
	NumberSet Kind = "NS"
	BinarySet Kind = "BS"
)

// Value is one attribute value. Values are never changed once made, so that
// items may share them; an update copies the way down to what it changes.
type Value struct {
	kind Kind
	text string           // S; B as raw bytes; N as its canonical spelling
	num  decimal          // N
	bool bool             // BOOL
	m    map[string]Value // M
	list []Value          // L; the members of a set, sorted
}

// Item is a row's attributes by name.
type Item = map[string]Value

// Kind returns v's data type, "" for the zero Value.
func (v Value) Kind() Kind { return v.kind }

// Text returns a string, a binary's raw bytes or a number in its one spelling.
func (v Value) Text() string { return v.text }

const maxNesting = 32 // levels of maps and lists

// UnmarshalJSON reads {"S": "x"} and checks what AWS checks of a value.
func (v *Value) UnmarshalJSON(b []byte) error {
	out, err := parseValue(b, 0)
	*v = out
	return err
}

func parseValue(b []byte, depth int) (Value, error) {
	if depth > maxNesting {
		return Value{}, errorf("nesting levels have exceeded supported limits")
	}
	var members map[Kind]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return Value{}, err
	}
	if len(members) != 1 {
		return Value{}, errorf("a supplied AttributeValue has %d data types, must contain exactly one", len(members))
	}
	for k, raw := range members {
		return parseKind(k, raw, depth)
	}
	panic("BUG: a map of one is empty")
}

func parseKind(k Kind, raw json.RawMessage, depth int) (Value, error) {
	switch k {
	case String, Number, Binary:
		var s string
		if err := unmarshalMember(raw, &s); err != nil {
			return Value{}, err
		}
		return parseScalar(k, s)
	case Bool:
		var b bool
		err := unmarshalMember(raw, &b)
		return Value{kind: k, bool: b}, err
	case Null:
		var b bool
		if err := unmarshalMember(raw, &b); err != nil {
			return Value{}, err
		}
		if !b {
			return Value{}, errorf("null attribute value types must have the value of true")
		}
		return Value{kind: k}, nil
	case StringSet, NumberSet, BinarySet:
		var members []string
		if err := unmarshalMember(raw, &members); err != nil {
			return Value{}, err
		}
		return parseSet(k, members)
	case Map, List:
		return parseDocument(k, raw, depth)
	}
	return Value{}, fmt.Errorf("an AttributeValue has no data type %q", k)
}

// unmarshalMember reads a member that must be there: null is no value of any type.
func unmarshalMember(raw json.RawMessage, into any) error {
	if bytes.Equal(raw, []byte("null")) {
		return errorf("a supplied AttributeValue is empty, must contain exactly one of the supported data types")
	}
	return json.Unmarshal(raw, into)
}

func parseScalar(k Kind, s string) (Value, error) {
	switch k {
	case Number:
		d, err := parseDecimal(s)
		if err != nil {
			return Value{}, errorf("%v: %.50q", err, s)
		}
		return Value{kind: k, text: d.String(), num: d}, nil
	case Binary:
		raw, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return Value{}, fmt.Errorf("binary value: %w", err)
		}
		return Value{kind: k, text: string(raw)}, nil
	default:
		return Value{kind: k, text: s}, nil
	}
}

// memberKind is the type of a set's members.
func (k Kind) memberKind() Kind { return k[:1] }

func (k Kind) isSet() bool { return k == StringSet || k == NumberSet || k == BinarySet }

func parseSet(k Kind, members []string) (Value, error) {
	if len(members) == 0 {
		return Value{}, errorf("a set must not be empty")
	}
	out := Value{kind: k}
	for _, s := range members {
		m, err := parseScalar(k.memberKind(), s)
		if err != nil {
			return Value{}, err
		}
		out.list = append(out.list, m)
	}
	slices.SortFunc(out.list, Compare)
	for i := range out.list[1:] {
		if Compare(out.list[i], out.list[i+1]) == 0 {
			return Value{}, errorf("a set contains duplicates: %.50q", out.list[i].text)
		}
	}
	return out, nil
}

func parseDocument(k Kind, raw json.RawMessage, depth int) (Value, error) {
	if k == List {
		var members []json.RawMessage
		if err := unmarshalMember(raw, &members); err != nil {
			return Value{}, err
		}
		out := Value{kind: k, list: make([]Value, len(members))}
		for i, m := range members {
			var err error
			if out.list[i], err = parseValue(m, depth+1); err != nil {
				return Value{}, err
			}
		}
		return out, nil
	}
	var members map[string]json.RawMessage
	if err := unmarshalMember(raw, &members); err != nil {
		return Value{}, err
	}
	out := Value{kind: k, m: make(map[string]Value, len(members))}
	for name, m := range members {
		v, err := parseValue(m, depth+1)
		if err != nil {
			return Value{}, err
		}
		out.m[name] = v
	}
	return out, nil
}

// MarshalJSON writes {"S": "x"}.
func (v Value) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[Kind]any{v.kind: v.wire()})
}

func (v Value) wire() any {
	switch v.kind {
	case String, Number:
		return v.text
	case Binary:
		return []byte(v.text)
	case Bool:
		return v.bool
	case Null:
		return true
	case Map:
		return v.m
	case List:
		return v.list
	}
	out := make([]any, len(v.list))
	for i, m := range v.list {
		out[i] = m.wire()
	}
	return out
}

// Compare orders two values of the same scalar kind: numbers by value,
// strings and binaries by their bytes.
func Compare(a, b Value) int {
	if a.kind == Number {
		return a.num.cmp(b.num)
	}
	return strings.Compare(a.text, b.text)
}

// Equal compares any two values; sets by their members, whatever their order was.
func (v Value) Equal(o Value) bool {
	if v.kind != o.kind {
		return false
	}
	switch v.kind {
	case Map:
		return maps.EqualFunc(v.m, o.m, Value.Equal)
	case Bool:
		return v.bool == o.bool
	case Null:
		return true
	case String, Number, Binary:
		return v.text == o.text
	default:
		return slices.EqualFunc(v.list, o.list, Value.Equal)
	}
}

// Size is what DynamoDB counts for v, in bytes.
func (v Value) Size() int {
	switch v.kind {
	case String, Binary:
		return len(v.text)
	case Number:
		return (len(strings.Trim(v.text, "-0."))+1)/2 + 1
	case Bool, Null:
		return 1
	case Map:
		return ItemSize(v.m) + 3 + len(v.m)
	case List:
		n := 3 + len(v.list)
		for _, m := range v.list {
			n += m.Size()
		}
		return n
	}
	n := 0
	for _, m := range v.list {
		n += m.Size()
	}
	return n
}

// ItemSize is what DynamoDB counts for an item: names and values, in bytes.
func ItemSize(it Item) int {
	n := 0
	for name, v := range it {
		n += len(name) + v.Size()
	}
	return n
}
