package ban

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"weir/internal/awslocal"
)

// One thing that cannot be read hides nothing else of what was decided, and is counted.
func TestWhatCannotBeReadHidesNothing(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		st, err := openFile(t.Context(), filepath.Join(t.TempDir(), "bans.db"), busyTimeout, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		defer st.close()
		hidesNothing(t, st, func() {
			mustExec(t, st.writer, "UPDATE decisions SET prefix = 'everybody' WHERE id = '1'")
			mustExec(t, st.writer, "UPDATE alerts SET prefix = 'everybody' WHERE id = '1'")
			mustExec(t, st.writer, "UPDATE decisions SET context = x'7b' WHERE id = '2'")
			mustExec(t, st.writer, "UPDATE alerts SET context = x'7b' WHERE id = '2'")
		})
	})
	t.Run("dynamodb", func(t *testing.T) {
		w := newCloud(t, awslocal.Config{})
		st := w.storage()
		hidesNothing(t, st, func() {
			one := position{millis(noon.Add(time.Second)), "1"}
			for _, it := range []item{
				at("id#1", "decision", item{"d": text("{")}),
				at("alerts#"+dayOf(one), one.sortKey(), item{"d": text("{")}),
				at("prefix#192.0.2.1/32", "alert#"+one.sortKey(), item{"d": number(1)}),
				at("audit#"+monthOf(one), one.sortKey(), item{}),
				at("id#2", "context", item{"c": &types.AttributeValueMemberB{Value: []byte("not compressed")}}),
				// What has no place among the others, before, between and after them.
				at("decisions#"+dayOf(one), "1", item{}),
				at("decisions#"+dayOf(one), one.sortKey()[:15], item{}),
				at("decisions#"+dayOf(one), "newest", item{}),
				at("alerts#"+dayOf(one), "newest", item{}),
				at("audit#"+monthOf(one), "newest", item{}),
				at("prefix#192.0.2.2/32", "decision#9newest", item{"until": number(endOfTime)}),
				at("prefix#192.0.2.2/32", "alert#9newest", item{}),
			} {
				if ok, err := st.put(t.Context(), it, "", nil); !ok || err != nil {
					t.Fatal(err)
				}
			}
		})
	})
}

// hidesNothing has a storage hold three of everything, of which damage spoils the one of
// ID 1, and the context of the one of ID 2.
func hidesNothing(t *testing.T, st storage, damage func()) {
	var b batch
	var prefixes []netip.Prefix
	for i := range 3 {
		d := stored(fmt.Sprint(i), fmt.Sprintf("192.0.2.%d/32", i), noon.Add(time.Duration(i)*time.Second))
		prefixes = append(prefixes, d.Prefix)
		b.put = append(b.put, d)
		b.alerts = append(b.alerts, Alert{ID: d.ID, Prefix: d.Prefix, Scenario: d.Scenario, At: d.At, Created: d.Created, Until: d.Until, Decision: d.ID, Context: d.Context})
		b.audit = append(b.audit, Audit{ID: d.ID, At: d.Created, Actor: "me", Action: AuditBan})
	}
	if err := st.write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	damage()
	ofAlerts := func(list []Alert) (ids []string) {
		for i := range list {
			ids = append(ids, list[i].ID)
		}
		return ids
	}
	for _, limit := range []int{9, 1} { // more pages than one, too
		ds, err := st.list(t.Context(), filter{limit: limit})
		if want := []string{"2", "0"}[:min(limit, 2)]; err != nil || !slices.Equal(idsOf(ds), want) {
			t.Errorf("listed %q, %v; want %q", idsOf(ds), err, want)
		}
		as, err := st.alerts(t.Context(), filter{limit: limit})
		if want := []string{"2", "0"}[:min(limit, 2)]; err != nil || !slices.Equal(ofAlerts(as), want) {
			t.Errorf("alerts %q, %v; want %q", ofAlerts(as), err, want)
		}
	}
	for i, want := range [][]string{{"0"}, nil, {"2"}} {
		only := filter{limit: 9, prefixes: prefixes[i : i+1]}
		ds, err := st.list(t.Context(), only)
		as, errs := st.alerts(t.Context(), only)
		if err = errors.Join(err, errs); err != nil || !slices.Equal(idsOf(ds), want) || !slices.Equal(ofAlerts(as), want) {
			t.Errorf("about %s: %q and %q, %v; want %q", prefixes[i], idsOf(ds), ofAlerts(as), err, want)
		}
	}
	entries, err := st.audit(t.Context(), position{}, 9)
	if want := 2; err != nil || len(entries) < want || entries[0].ID != "2" || entries[len(entries)-1].ID != "0" {
		t.Errorf("audit log: %+v, %v", entries, err)
	}
	about, err := st.about(t.Context(), prefixes, noon.Add(time.Minute))
	slices.SortFunc(about, comparePrefixes)
	if err != nil || len(about) != 2 || about[0] != prefixes[0] || about[1] != prefixes[2] {
		t.Errorf("decisions about %v, %v", about, err)
	}
	// What is asked for by its ID is there, or the error says why not.
	if _, ok, err := st.get(t.Context(), "1"); ok || err == nil {
		t.Errorf("the damaged one: %t, %v", ok, err)
	}
	d, ok, err := st.get(t.Context(), "2")
	a, okay, errs := st.alert(t.Context(), "2")
	if err = errors.Join(err, errs); err != nil || !ok || !okay || d.Context != nil || a.Context != nil || d.Scenario != a.Scenario {
		t.Errorf("without their context: %+v, %t, %+v, %t, %v", d, ok, a, okay, err)
	}
	if st.unread() == 0 {
		t.Error("nothing was counted")
	}
	// Who decides it again is not held up, and has it repaired.
	if err := st.write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if d, ok, err := st.get(t.Context(), "1"); err != nil || !ok || d.Prefix != prefixes[1] {
		t.Errorf("written again: %+v, %t, %v", d, ok, err)
	}
}

func idsOf(ds []Decision) (ids []string) {
	for i := range ds {
		ids = append(ids, ds[i].ID)
	}
	return ids
}

// What is no entry of the feed stops nobody from following it.
func TestForeignEntriesOfTheFeed(t *testing.T) {
	w := newCloud(t, awslocal.Config{})
	a, b := w.storage(), w.storage()
	for _, sk := range []string{"1", "0000000000000001x", "5five", "999999999999999x", "zzz"} {
		if ok, err := a.put(t.Context(), at("feed", sk, item{}), "", nil); !ok || err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.load(t.Context(), noon, noon); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		put(t, a, stored(fmt.Sprint(i), "192.0.2.1/32", noon))
		got, _, err := b.follow(t.Context(), noon, noon)
		if err != nil || !slices.Equal(idsOf(got.put), []string{fmt.Sprint(i)}) {
			t.Errorf("followed %q, %v", idsOf(got.put), err)
		}
	}
}

// However much cannot be read, and however often, the log stays short.
func TestUnreadableIsLoggedOnce(t *testing.T) {
	core, logs := observer.New(zap.ErrorLevel)
	u := unreadable{log: zap.New(core)}
	for range 3 {
		for i := range 2 * maxUnreadable {
			u.note(fmt.Sprint("place ", i), errors.New("no JSON"))
		}
	}
	if logs.Len() != maxUnreadable || u.left.Load() != 6*maxUnreadable {
		t.Errorf("%d lines, counted %d", logs.Len(), u.left.Load())
	}
	if last := logs.All()[maxUnreadable-1].ContextMap(); last["where"] != fmt.Sprint("place ", maxUnreadable-1) || last["more"] == nil {
		t.Errorf("the last line: %v", last)
	}
}
