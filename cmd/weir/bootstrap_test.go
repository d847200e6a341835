package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"weir/internal/config"
)

// A status that nobody asked for leaves that of the rules as it is.
func TestAskedStatus(t *testing.T) {
	file := filepath.Join(t.TempDir(), "targets.yaml")
	if err := os.WriteFile(file, []byte("targets: [{name: shop, sets: shop-, block_status: 403}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args, environ []string
		want          int
	}{
		"nothing":  {nil, nil, 0},
		"flag":     {[]string{"-waf-block-status", "403"}, nil, 403},
		"usual":    {[]string{"-waf-block-status", "429"}, nil, 429},
		"variable": {nil, []string{"WEIR_WAF_BLOCK_STATUS=421"}, 421},
		"target":   {nil, []string{"WEIR_WAF_TARGETS=" + file}, 403},
	} {
		fs := flag.NewFlagSet("bootstrap", flag.ContinueOnError)
		loader := config.Register(fs, "waf")
		if err := fs.Parse(tt.args); err != nil {
			t.Fatal(err)
		}
		cfg, err := loader.Load(tt.environ)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := askedStatus(cfg, &cfg.Targets()[0]); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}
