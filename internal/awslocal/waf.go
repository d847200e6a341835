package awslocal

import "net/http"

// WAFConfig is the WAFv2 stand-in's settings.
type WAFConfig struct{}

// wafActions are the actions that are routed to the stand-in.
var wafActions = []string{"ListIPSets"}

// WAF is the WAFv2 stand-in.
type WAF struct{}

func newWAF(Config) *WAF { return &WAF{} }

func (*WAF) serve(w http.ResponseWriter, r *http.Request, action string, body []byte) {
	reply(w, map[string]any{"IPSets": []any{}}, nil)
}
