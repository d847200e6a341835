package waf

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"pgregory.net/rapid"
)

// future is an AWS of some years later: what it answers has members that the SDK
// has never heard of, in web ACLs and rule groups and in their rules.
type future struct {
	today  aws.HTTPClient
	member map[string]any // to be added
	lost   []string       // updates that came without
}

func (f *future) Do(r *http.Request) (*http.Response, error) {
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if action == "UpdateWebACL" || action == "UpdateRuleGroup" {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		var in map[string]any
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, err
		}
		f.expect(action, in)
		for _, rule := range in["Rules"].([]any) {
			rule := rule.(map[string]any)
			if name := rule["Name"]; name == "own" {
				f.expect(action+" rule own", rule)
			}
			for name := range f.member { // of a rule that AWS has made of ours meanwhile
				delete(rule, name)
			}
		}
		body, err = json.Marshal(in)
		if err != nil {
			return nil, err
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	resp, err := f.today.Do(r)
	if err != nil || resp.StatusCode != http.StatusOK || action != "GetWebACL" && action != "GetRuleGroup" {
		return resp, err
	}
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return nil, err
	}
	object := out[strings.TrimPrefix(action, "Get")].(map[string]any)
	for name, value := range f.member {
		object[name] = value
		for _, rule := range object["Rules"].([]any) {
			rule.(map[string]any)[name] = value
		}
	}
	body, err := json.Marshal(out)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Del("X-Amz-Crc32")
	return resp, err
}

// expect notes what is missing, and takes it out for today's stand-in.
func (f *future) expect(what string, in map[string]any) {
	for name, value := range f.member {
		if !reflect.DeepEqual(in[name], value) {
			f.lost = append(f.lost, what+" "+name)
		}
		delete(in, name)
	}
}

func TestMembersOfTheFutureSurvive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		f := &future{today: s.HTTPClient(), member: map[string]any{"FutureConfig": map[string]any{"On": true, "Text": "<&>é"}}}
		c := wafv2.New(client(s).Options(), func(o *wafv2.Options) { o.HTTPClient = f })
		r := bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(1, 0)})
		own := types.Rule{Name: new("own"), Priority: 3, VisibilityConfig: visibility("own"), Statement: setStatement(r.SetARNs[0]), Action: &types.RuleAction{Count: &types.CountAction{}}}
		_, err := c.CreateWebACL(t.Context(), &wafv2.CreateWebACLInput{
			Name: new("site"), Scope: types.ScopeCloudfront, DefaultAction: &types.DefaultAction{Allow: &types.AllowAction{}}, VisibilityConfig: visibility("site"),
			Rules: []types.Rule{own},
		}, callOptions(types.ScopeCloudfront))
		if err != nil {
			t.Fatal(err)
		}
		cfg := BootstrapConfig{Scope: types.ScopeCloudfront, Sets: map[string]SetCount{"block": {2, 1}, "count": {1, 1}}, WebACL: "site"}
		if _, err := Bootstrap(t.Context(), c, cfg); err != nil {
			t.Fatal(err)
		}
		for _, mode := range []Mode{Observe, Enforce} {
			if _, err := Override(t.Context(), c, OverrideConfig{Scope: types.ScopeCloudfront, Mode: mode}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Remove(t.Context(), c, RemoveConfig{Scope: types.ScopeCloudfront}); err != nil {
			t.Fatal(err)
		}
		if n := changes(s); len(f.lost) > 0 || n < 8 {
			t.Errorf("%d changes; lost: %q", n, f.lost)
		}
	})
}

// If AWS does not want back what it answered, the error says what that was.
func TestRefusedMembersAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(1, 0), WebACL: "site", CreateWebACL: true})
		c := wafv2.New(client(s).Options(), func(o *wafv2.Options) { o.HTTPClient = readsOnly{s.HTTPClient()} })
		_, err := Override(t.Context(), c, OverrideConfig{Scope: types.ScopeCloudfront, Mode: Observe})
		if err == nil || !strings.Contains(err.Error(), "sent back as it came: FutureARN") {
			t.Error(err)
		}
	})
}

// readsOnly adds a member to web ACLs that updates do not take.
type readsOnly struct{ today aws.HTTPClient }

func (c readsOnly) Do(r *http.Request) (*http.Response, error) {
	resp, err := c.today.Do(r)
	if err != nil || !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetWebACL") {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	body = bytes.Replace(body, []byte(`"WebACL":{`), []byte(`"WebACL":{"FutureARN":"x",`), 1)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, err
}

func TestSetMember(t *testing.T) {
	f := func(object, value, want string, path ...string) {
		t.Helper()
		var v json.RawMessage
		if value != "" {
			v = json.RawMessage(value)
		}
		if got := string(setMember(json.RawMessage(object), v, path...)); got != want {
			t.Errorf("%s %v: %s, want %s", object, path, got, want)
		}
	}
	f(`{"a":1,"b":[2.50]}`, `7`, `{"a":7,"b":[2.50]}`, "a")
	f(`{"a":1}`, `"x<y"`, `{"a":1,"b":{"c":"x<y"}}`, "b", "c")
	f(`{"a":{"b":1,"c":2}}`, `3`, `{"a":{"b":3,"c":2}}`, "a", "b")
	f(`{"a":1,"b":2}`, ``, `{"b":2}`, "a")
	f(`{"a":null}`, `1`, `{"a":{"b":1}}`, "a", "b")
	f(``, `1`, `{"a":1}`, "a")
}

// Whatever AWS may answer, reading it is no panic, and writing it back keeps all
// that is not read-only.
func TestDocumentProperty(t *testing.T) {
	value := rapid.Custom(func(t *rapid.T) any {
		return rapid.SampledFrom([]any{nil, "", "x", 1.5, true, []any{}, []any{"a", nil}, map[string]any{}, map[string]any{"k": "v"}}).Draw(t, "value")
	})
	rapid.Check(t, func(t *rapid.T) {
		object := rapid.MapOf(rapid.SampledFrom([]string{"Name", "ARN", "Capacity", "Description", "New", "CaptchaConfig"}), value).Draw(t, "object")
		answer, err := json.Marshal(map[string]any{"WebACL": object, "LockToken": "t"})
		if err != nil {
			t.Fatal(err)
		}
		doc, err := parseDocument(answer, "WebACL")
		if err != nil {
			t.Fatal(err)
		}
		var body map[string]any
		if err := json.Unmarshal(doc.update("CLOUDFRONT", "t"), &body); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"Scope": "CLOUDFRONT", "LockToken": "t", "Rules": []any{}}
		for name, v := range object {
			if name != "ARN" && name != "Capacity" && (name != "Description" || v != nil && v != "" && !reflect.DeepEqual(v, map[string]any{})) {
				want[name] = v
			}
		}
		if !reflect.DeepEqual(body, want) {
			t.Fatalf("%v, want %v", body, want)
		}
	})
}

func FuzzParseDocument(f *testing.F) {
	f.Add([]byte(`{"WebACL":{"Name":"x","Rules":[{"Name":"r","Priority":0}]},"LockToken":"t"}`))
	f.Add([]byte(`{"WebACL":null}`))
	f.Add([]byte(`{"WebACL":{"Rules":{}}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		doc, err := parseDocument(answer, "WebACL")
		if err != nil {
			return
		}
		body := doc.update("CLOUDFRONT", "t")
		again, err := parseDocument([]byte(`{"WebACL":`+string(body)+`}`), "WebACL")
		if err != nil || len(again.rules) != len(doc.rules) {
			t.Errorf("%s becomes %s: %v", answer, body, err)
		}
	})
}
