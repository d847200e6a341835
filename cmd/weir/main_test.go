package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"weir/internal/awslocal"
)

// TestMain lets the test binary be weir itself: a script, or a test that starts
// processes, runs it under that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"weir": main})
}

// TestScripts are whole-program tests, one story a file.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			// What AWS tools of this machine are configured with must not matter.
			env.Setenv("AWS_CONFIG_FILE", os.DevNull)
			env.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			// Stand-ins of AWS, for scripts that set AWS_ENDPOINT_URL to them.
			standIns := httptest.NewServer(awslocal.New(awslocal.Config{}))
			env.Defer(standIns.Close)
			env.Setenv("STANDINS", standIns.URL)
			return nil
		},
	})
}
