package ban

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/smithy-go"
	"go.uber.org/zap"

	"weir/internal/awshttp"
	"weir/internal/awslocal"
	"weir/internal/awslocal/npm"
)

// storageSuite says what a storage is: every one there is must pass.
var storageSuite = []struct {
	name   string
	test   func(*testing.T, storage)
	shared bool // is about several processes
	calls  bool // makes more calls than are made of a storage in trouble, or of one behind a port
}{
	{name: "keeps decisions", test: storageKeepsDecisions},
	{name: "frees", test: storageFrees},
	{name: "writes twice", test: storageWriteTwice},
	{name: "loads by time", test: storageLoadsByTime},
	{name: "filters", test: storageFilters},
	{name: "about", test: storageAbout},
	{name: "purges", test: storagePurges},
	{name: "keeps alerts", test: storageKeepsAlerts},
	{name: "allowlist", test: storageAllowlist},
	{name: "audit", test: storageAudit},
	{name: "secrets", test: storageSecrets},
	{name: "alerts of a store", test: alertsAreKept},
	{name: "tells others", test: storageTells, shared: true},
	{name: "pages", test: storagePages, calls: true},
}

func TestStorage(t *testing.T) {
	for _, c := range storageSuite {
		t.Run(c.name, func(t *testing.T) {
			if !c.shared {
				t.Run("memory", func(t *testing.T) { c.test(t, newMemory()) })
				t.Run("sqlite", func(t *testing.T) {
					st, err := openFile(t.Context(), filepath.Join(t.TempDir(), "bans.db"), busyTimeout, zap.NewNop())
					if err != nil {
						t.Fatal(err)
					}
					defer st.close()
					c.test(t, st)
				})
			}
			t.Run("dynamodb", func(t *testing.T) { c.test(t, newCloud(t, awslocal.Config{}).storage()) })
			if c.calls {
				return
			}
			// Calls fail, and some succeed unheard. In fake time, as they are tried again.
			t.Run("dynamodb in trouble", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newCloud(t, awslocal.Config{DynamoDB: awslocal.DynamoDBConfig{BatchLimit: 20}})
					for _, do := range []awslocal.FaultKind{awslocal.FaultThrottle, awslocal.FaultErrorAfter, awslocal.FaultResetAfter} {
						w.server.Faults().Add(awslocal.Fault{Service: "dynamodb", Probability: 0.03, Do: do})
					}
					c.test(t, w.storage())
				})
			})
		})
	}
}

// The suite also holds against a DynamoDB that others wrote, so that what ours does is
// not merely what we believe.
func TestStorageDynalite(t *testing.T) {
	url := npm.Start(t, "dynalite", "4.0.0", map[string]any{"createTableMs": 0, "deleteTableMs": 0})
	transport := &http.Transport{MaxIdleConnsPerHost: parallel}
	t.Cleanup(transport.CloseIdleConnections)
	client := dynamoClient(awshttp.New(&http.Client{Transport: transport}), url)
	for i, c := range storageSuite {
		t.Run(c.name, func(t *testing.T) {
			if c.calls {
				t.Skip("takes too many calls")
			}
			name := fmt.Sprint(testTable, i)
			var unknown smithy.APIError
			switch err := CreateTable(t.Context(), client, name); {
			case errors.As(err, &unknown) && unknown.ErrorCode() == "UnknownOperationException":
				// The table is there; UpdateTimeToLive, which comes last, dynalite does not have.
			case err != nil:
				t.Fatal(err)
			}
			c.test(t, newTable(client, name, 30*24*time.Hour, zap.NewNop()))
		})
	}
}

// What one process writes, another that follows is told of, in order, and of its own
// decisions which an unban of somebody else's should have ended.
func storageTells(t *testing.T, st storage) {
	a := st.(*table)
	b := newTable(a.api, a.name, a.keep, a.bad.log)
	for _, s := range []*table{a, b} {
		if _, err := s.load(t.Context(), noon, noon); err != nil {
			t.Fatal(err)
		}
	}
	follow := func(s *table) (batch, []string) {
		t.Helper()
		got, missed, err := s.follow(t.Context(), noon, noon)
		if err != nil {
			t.Fatal(err)
		}
		return got, missed
	}
	write := func(s *table, b batch) {
		t.Helper()
		if err := s.write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	d := stored("a", "192.0.2.1/32", noon)
	write(a, batch{put: []Decision{d}})
	write(b, batch{unban: []unban{{d.Prefix, noon}}}) // b does not know of d
	if _, missed := follow(a); !slices.Equal(missed, []string{"a"}) {
		t.Errorf("to be ended as b could not: %q", missed)
	}
	ends := batch{end: []ending{{"a", noon.Add(time.Minute)}}, free: []string{"a"}, closed: []string{"x"}}
	write(a, ends)
	got, missed := follow(b)
	d.Context = nil
	want := batch{put: []Decision{d}, unban: []unban{{d.Prefix, noon}}, end: ends.end, free: ends.free, closed: ends.closed}
	if !reflect.DeepEqual(got, want) || len(missed) != 0 {
		t.Errorf("told\n%+v, missed %q\nwant\n%+v", got, missed, want)
	}
	if got, _ := follow(b); !got.empty() {
		t.Errorf("told again: %+v", got)
	}
	// More entries than one may follow by reading them one by one.
	entry := AllowEntry{Prefix: netip.MustParsePrefix("2001:db8::/48"), Created: noon, version: 1}
	write(a, batch{allow: []AllowEntry{entry}})
	b.feed.last -= farBehind + 1
	if got, _ := follow(b); len(got.put) != 1 || got.put[0].Held != "" || !slices.Equal(got.allow, []AllowEntry{entry}) {
		t.Errorf("who is far behind reads %+v", got)
	}
}

// emptyOut has a storage list nothing.
func emptyOut(ctx context.Context, st storage) error {
	if table, ok := st.(*table); ok { // where only AWS deletes
		return emptyTable(ctx, table)
	}
	for {
		if more, err := st.purge(ctx, purge{ended: fromMillis(endOfTime)}, 1000); !more || err != nil {
			return err
		}
	}
}
