package waf

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// answerLimit bounds an answer of AWS. A web ACL's or rule group's is some
// hundred kilobytes at most.
const answerLimit = 16 << 20

// A document is a web ACL or rule group as AWS answered it. An update replaces all
// of it, and whatever it leaves out is lost; the SDK leaves out all that it has not
// heard of. So a document is changed and sent back as JSON: members and kinds of
// statements that AWS adds one day survive.
type document struct {
	members map[string]json.RawMessage // "Rules" is not among them
	rules   []json.RawMessage
}

// readOnly are members that AWS answers with and that no update takes: of web ACLs
// and rule groups, no name is both.
func readOnly() []string {
	return []string{
		"ARN", "Capacity", "LabelNamespace", "ManagedByFirewallManager", "RetrofittedByFirewallManager",
		"PreProcessFirewallManagerRuleGroups", "PostProcessFirewallManagerRuleGroups",
		"AvailableLabels", "ConsumedLabels",
	}
}

// parseDocument reads the answer to a Get, where the document is a member.
func parseDocument(answer []byte, member string) (*document, error) {
	var outer map[string]json.RawMessage
	d := new(document)
	err := json.Unmarshal(answer, &outer)
	if err == nil {
		err = json.Unmarshal(outer[member], &d.members)
	}
	if rules := d.members["Rules"]; err == nil && rules != nil {
		err = json.Unmarshal(rules, &d.rules)
	}
	if err == nil && d.members == nil {
		err = fmt.Errorf("there is no %s", member)
	}
	if err != nil {
		return nil, fmt.Errorf("read the answer of AWS WAF: %w", err)
	}
	delete(d.members, "Rules")
	return d, nil
}

// update is the body of the update that writes the document.
func (d *document) update(scope, token string) []byte {
	out := maps.Clone(d.members)
	for _, name := range readOnly() {
		delete(out, name)
	}
	// AWS refuses these two when they are empty.
	for _, name := range []string{"Description", "CustomResponseBodies"} {
		if slices.Contains([]string{`""`, `{}`, `null`}, string(out[name])) {
			delete(out, name)
		}
	}
	if d.rules == nil {
		d.rules = []json.RawMessage{}
	}
	out["Scope"], out["LockToken"], out["Rules"] = toJSON(scope), toJSON(token), toJSON(d.rules)
	return toJSON(out)
}

// explain adds to the error of an update what the document holds that the SDK's
// type does not: if AWS does not take that back, this is why.
func explain[T any](err error, d *document) error {
	if code := codeOf(err); code != "ValidationException" && code != "SerializationException" {
		return err
	}
	var news []string
	for _, name := range slices.Sorted(maps.Keys(d.members)) {
		if _, known := reflect.TypeFor[T]().FieldByName(name); !known {
			news = append(news, name)
		}
	}
	if len(news) == 0 {
		return err
	}
	return fmt.Errorf("%w (this version of Weir does not know, and sent back as it came: %s)", err, strings.Join(news, ", "))
}

// capture gives the body of the answer, too, beside what the SDK understands of it.
func capture(body *[]byte) func(*wafv2.Options) {
	read := middleware.DeserializeMiddlewareFunc("weirCapture", func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		resp, ok := out.RawResponse.(*smithyhttp.Response)
		if err != nil || !ok {
			return out, metadata, err
		}
		*body, err = io.ReadAll(io.LimitReader(resp.Body, answerLimit))
		err = errors.Join(err, resp.Body.Close())
		resp.Body = io.NopCloser(bytes.NewReader(*body))
		return out, metadata, err
	})
	return func(o *wafv2.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Deserialize.Add(read, middleware.After)
		})
	}
}

// replace sends a body of our own instead of what the SDK made of the input.
func replace(body []byte) func(*wafv2.Options) {
	write := middleware.SerializeMiddlewareFunc("weirReplace", func(ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler) (middleware.SerializeOutput, middleware.Metadata, error) {
		req, ok := in.Request.(*smithyhttp.Request)
		if !ok {
			return middleware.SerializeOutput{}, middleware.Metadata{}, fmt.Errorf("a request of type %T", in.Request)
		}
		req, err := req.SetStream(bytes.NewReader(body))
		if err != nil {
			return middleware.SerializeOutput{}, middleware.Metadata{}, err
		}
		in.Request = req
		return next.HandleSerialize(ctx, in)
	})
	return func(o *wafv2.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Serialize.Add(write, middleware.After)
		})
	}
}

// toJSON is the JSON of a value that always has one.
func toJSON(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // bodies are for people to read
	if err := e.Encode(v); err != nil {
		panic("BUG: not JSON: " + err.Error())
	}
	return bytes.TrimSpace(b.Bytes())
}

// plainJSON is the JSON of a value of the SDK's types, without what is not set.
func plainJSON(v any) json.RawMessage {
	var tree any
	if err := json.Unmarshal(toJSON(v), &tree); err != nil {
		panic("BUG: own JSON cannot be read: " + err.Error())
	}
	return toJSON(withoutNulls(tree))
}

func withoutNulls(tree any) any {
	switch v := tree.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(_ string, m any) bool { return m == nil })
		for name, m := range v {
			v[name] = withoutNulls(m)
		}
	case []any:
		for i := range v {
			v[i] = withoutNulls(v[i])
		}
	}
	return tree
}

// setMember gives object with a member set to value, at the end of a path of members,
// or without it if value is nil. The members of the path are objects.
func setMember(object json.RawMessage, value json.RawMessage, path ...string) json.RawMessage {
	var members map[string]json.RawMessage
	if len(object) > 0 {
		if err := json.Unmarshal(object, &members); err != nil {
			panic("BUG: no object: " + err.Error())
		}
	}
	if members == nil {
		members = make(map[string]json.RawMessage)
	}
	switch {
	case len(path) > 1:
		members[path[0]] = setMember(members[path[0]], value, path[1:]...)
	case value == nil:
		delete(members, path[0])
	default:
		members[path[0]] = value
	}
	return toJSON(members)
}
