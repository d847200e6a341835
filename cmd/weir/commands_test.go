package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"

	"weir/internal/api"
	"weir/internal/ban"
)

// ask runs a command that asks the service, and gives its exit code and output.
func (m *market) ask(args ...string) (code int, stdout, stderr string) {
	m.t.Helper()
	var out, errs bytes.Buffer
	words := 1 // of the command's name
	if args[0] == "allowlist" && len(args) > 1 && !strings.HasPrefix(args[1], "-") {
		words = 2
	}
	args = append(args[:words:words], append([]string{"-api", "http://" + m.service.listener.Addr().String()}, args[words:]...)...)
	code = run(m.t.Context(), &world{args: args, stdin: new(bytes.Buffer), stdout: &out, stderr: &errs})
	return code, out.String(), errs.String()
}

// want runs a command, which has to end so and print every one of the texts.
func (m *market) want(code int, args []string, texts ...string) string {
	m.t.Helper()
	got, stdout, stderr := m.ask(args...)
	if got != code {
		m.t.Errorf("weir %q: exit code %d, want %d\n%s%s", args, got, code, stdout, stderr)
	}
	for _, text := range texts {
		if !strings.Contains(stdout+stderr, text) {
			m.t.Errorf("weir %q: no %q in\n%s%s", args, text, stdout, stderr)
		}
	}
	return stdout
}

// panics runs panic on and off, as an operator does from elsewhere.
func (m *market) panics() {
	m.t.Helper()
	port := httptest.NewServer(m.server)
	defer port.Close()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": port.URL, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "operator", "AWS_SECRET_ACCESS_KEY": "x",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		m.t.Setenv(name, value)
	}
	for _, how := range []string{"on", "off"} {
		m.want(exitOK, []string{"panic", how, "-web-acl", demoWebACL}, demoWebACL, "now: ")
		if _, stdout, stderr := m.ask("panic", "status"); stderr != "" {
			m.t.Errorf("panic status: %s%s", stdout, stderr)
		}
	}
}

// The commands show what is, and do what they say, at a running service.
func TestCommands(t *testing.T) {
	m := newMarket(t, `
targets:
- {name: site, sets: weir-}
- {name: try, scope: REGIONAL, region: eu-central-1, sets: shop-, dry_run: true}
`, observer{})
	m.laterLeader() // of the target that is only tried, where nobody is deposed
	eventually(t, "the service is ready", func() bool { return len(m.service.notReady()) == 0 })
	for _, p := range []string{"45.9.1.1/32", "45.9.1.2/32"} {
		if _, err := m.service.store.Add(t.Context(), ban.Decision{Prefix: netip.MustParsePrefix(p)}); err != nil {
			t.Fatal(err)
		}
	}
	m.put(exploit("45.9.1.3"))
	eventually(t, "the bans are in the set of the site", func() bool { return len(m.set("us-east-1", "weir-block-v4-0").IPSet.Addresses) == 3 })
	eventually(t, "reconcile shows what the dry run would write, and nothing else", func() bool {
		code, stdout, _ := m.ask("reconcile", "-diff")
		return code == exitDiffers && strings.Contains(stdout, "weir-block-v4-0 (block, ipv4): 0 missing, 0 superfluous, 0 foreign\n") &&
			strings.Contains(stdout, "try (dry run: nothing is written)") && strings.Contains(stdout, "shop-block-v4-0 (block, ipv4): 3 missing, 0 superfluous") &&
			strings.Contains(stdout, "write in ") && strings.Contains(stdout, ": +3 -0\n    + 45.9.1.1\n    + 45.9.1.2\n    + 45.9.1.3\n")
	})
	var diffs struct{ Diffs []api.Diff }
	if err := json.Unmarshal([]byte(m.want(exitDiffers, []string{"reconcile", "-diff", "-json", "-limit", "2"})), &diffs); err != nil || len(diffs.Diffs) != 2 {
		t.Fatalf("%v: %+v", err, diffs)
	}
	if set := diffs.Diffs[1].Sets[0]; set.Missing.Count != 3 || len(set.Missing.Values) != 2 || len(set.Writes) != 1 {
		t.Errorf("-limit 2 shows %+v", set)
	}
	m.want(exitOK, []string{"reconcile"}, "asked the service")

	eventually(t, "the log tells what the dry run would write, and when", func() bool {
		lines := m.logs.FilterMessage("would write").All()
		return len(lines) > 0 && strings.Contains(fmt.Sprint(lines[len(lines)-1].ContextMap()), "missing:3") &&
			strings.Contains(fmt.Sprint(lines[len(lines)-1].ContextMap()), "target:try writes:[shop-block-v4-0 in ")
	})

	m.want(exitOK, []string{"flush", "-all", "-dry-run"}, "all decisions: 3 would be ended", "manual", "http-exploit-path")
	m.want(exitOK, []string{"flush", "-origin", "scenario", "-since", "1h"}, "decisions of origin scenario of the last 1h0m0s: 1 ended\n  scenario  http-exploit-path  1\n")
	m.want(exitFailed, []string{"flush", "-origin", "heaven"}, `the service says: no origin "heaven"`)
	var flushed api.Flushed
	if err := json.Unmarshal([]byte(m.want(exitOK, []string{"flush", "-all", "-yes", "-json"})), &flushed); err != nil || flushed.Ended != 2 {
		t.Errorf("%v: %+v", err, flushed)
	}
	eventually(t, "the set of the site is empty", func() bool { return len(m.set("us-east-1", "weir-block-v4-0").IPSet.Addresses) == 0 })

	m.want(exitOK, []string{"release", "-list"}, "all scenarios", "closed")
	m.want(exitOK, []string{"release"}, "breaker of all scenarios closed; 0 held decisions released")
	m.want(exitOK, []string{"release", "-drop", "http-exploit-path"}, "breaker of scenario http-exploit-path closed; 0 held decisions dropped")
	m.want(exitFailed, []string{"release", "http-exploit-bath"}, `the service says: there is no breaker of "http-exploit-bath"`)
	m.want(exitOK, []string{"allowlist", "add", "45.9.1.9", "-expires", "24h", "-comment", "office"}, "45.9.1.9 is allowlisted, expires: ", "; 0 decisions ended")
	m.want(exitFailed, []string{"allowlist", "add", "45.0.0.0/8"}, "the service says: 45.0.0.0/8 is wider than /16")
	m.want(exitOK, []string{"allowlist"}, "VALUE", "45.9.1.9 ", "office")
	m.want(exitOK, []string{"allowlist", "remove", "45.9.1.9"}, "45.9.1.9 is not allowlisted any more")
	m.want(exitDiffers, []string{"allowlist", "remove", "45.9.1.9"}, "45.9.1.9 was not on the allowlist")
	m.want(exitUsage, []string{"allowlist", "add"}, "say who")
	m.want(exitUsage, []string{"allowlist", "check"}, `no "check"`)
	m.want(exitOK, []string{"audit"}, "disallow", "allow", "45.9.1.9", "office", "drop", "flush", "@")
	var alerts api.Alerts
	if err := json.Unmarshal([]byte(m.want(exitOK, []string{"alerts", "-client", "45.9.1.3", "-json"})), &alerts); err != nil || len(alerts.Alerts) != 1 {
		t.Fatalf("%v: %+v", err, alerts)
	}
	m.want(exitOK, []string{"alerts", "-scenario", "http-exploit-path"}, "45.9.1.3", "decision", alerts.Alerts[0].ID)
	m.want(exitOK, []string{"alerts", alerts.Alerts[0].ID}, "45.9.1.3", `"samples"`)
	m.want(exitFailed, []string{"alerts", "nobody"}, "the service says: there is no alert of this ID")

	m.panics()
	m.want(exitOK, []string{"audit"}, "panic-on   web ACL "+demoWebACL, "panic-off  web ACL "+demoWebACL)

	for _, call := range m.server.Calls() {
		if call.Action == "UpdateIPSet" && call.Resource == "shop-block-v4-0" && call.Key == serviceKey {
			t.Error("a dry run has written")
		}
	}
	if err := m.stop(); err != nil {
		t.Error(err)
	}
	m.staysWithinItsRights()
}
