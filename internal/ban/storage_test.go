package ban

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"pgregory.net/rapid"

	"weir/internal/scenario"
)

// stored is a decision with every field set.
func stored(id, prefix string, created time.Time) Decision {
	a := alert("192.0.2.1/32", noon)
	return Decision{
		ID: id, Prefix: netip.MustParsePrefix(prefix), Action: Captcha, Scenario: "http-probing", Origin: OriginScenario,
		Reason: "<b>it's \"quoted\"</b> \u2028", At: created.Add(-time.Second), Created: created, Until: created.Add(time.Hour),
		Arrived: created.Add(-500 * time.Millisecond), Context: newContext(&a),
		Severity: Severity(scenario.High), Staged: true, Held: HeldByAll, Wide: true,
	}
}

func put(t testing.TB, st storage, ds ...Decision) {
	t.Helper()
	if err := st.write(t.Context(), batch{put: ds}); err != nil {
		t.Fatal(err)
	}
}

func names(ds []Decision) string {
	ids := make([]string, len(ds))
	for i := range ds {
		ids[i] = ds[i].ID
	}
	return strings.Join(ids, " ")
}

func storageKeepsDecisions(t *testing.T, st storage) {
	want := stored("a", "2001:db8::/64", noon)
	put(t, st, want)
	got, ok, err := st.get(t.Context(), "a")
	if err != nil || !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %t, %v\nwant %+v", got, ok, err, want)
	}
	if _, ok, err := st.get(t.Context(), "b"); ok || err != nil {
		t.Errorf("a decision that was never put: %t, %v", ok, err)
	}
	want.Context = nil
	ds, err := st.list(t.Context(), filter{limit: 10})
	if err != nil || len(ds) != 1 || !reflect.DeepEqual(ds[0], want) {
		t.Errorf("listed %+v, %v", ds, err)
	}
	c, err := st.load(t.Context(), noon, noon)
	if err != nil || len(c.decisions) != 1 || !reflect.DeepEqual(c.decisions[0], want) {
		t.Errorf("loaded %+v, %v", c, err)
	}
}

// What is released keeps all else, its context among it.
func storageFrees(t *testing.T, st storage) {
	want := stored("a", "192.0.2.1/32", noon)
	put(t, st, want, stored("b", "192.0.2.2/32", noon))
	for range 2 {
		if err := st.write(t.Context(), batch{free: []string{"a", "nobody"}}); err != nil {
			t.Fatal(err)
		}
	}
	want.Held = ""
	if got, _, err := st.get(t.Context(), "a"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	if got, _, err := st.get(t.Context(), "b"); err != nil || got.Held != HeldByAll {
		t.Errorf("the other: %+v, %v", got, err)
	}
}

func storageWriteTwice(t *testing.T, st storage) {
	d := stored("a", "192.0.2.1/32", noon)
	b := batch{
		put:   []Decision{d},
		end:   []ending{{"a", noon.Add(time.Minute)}, {"nobody", noon}},
		unban: []unban{{d.Prefix, noon.Add(time.Minute)}},
	}
	for range 2 {
		if err := st.write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		got, _, err := st.get(t.Context(), "a")
		if end := noon.Add(time.Minute); err != nil || got.Until != end || got.Removed != end || got.Context == nil {
			t.Errorf("ended decision: %+v, %v", got, err)
		}
		c, err := st.load(t.Context(), noon, noon)
		if err != nil || len(c.decisions) != 1 || !slices.Equal(c.unbans, b.unban) {
			t.Errorf("loaded %+v, %v", c, err)
		}
	}
	later := unban{d.Prefix, noon.Add(time.Hour)}
	if err := st.write(t.Context(), batch{unban: []unban{later}}); err != nil {
		t.Fatal(err)
	}
	if c, err := st.load(t.Context(), noon, noon); err != nil || !slices.Equal(c.unbans, []unban{later}) {
		t.Errorf("unbans: %v, %v", c.unbans, err)
	}
}

func storageLoadsByTime(t *testing.T, st storage) {
	for i := range 3 {
		put(t, st, stored(fmt.Sprint(i), "192.0.2.1/32", noon.Add(time.Duration(i)*time.Second)))
	}
	p := netip.MustParsePrefix("192.0.2.1/32")
	if err := st.write(t.Context(), batch{unban: []unban{{p, noon}}}); err != nil {
		t.Fatal(err)
	}
	c, err := st.load(t.Context(), noon.Add(time.Hour), noon)
	slices.SortFunc(c.decisions, func(a, b Decision) int { return strings.Compare(a.ID, b.ID) })
	if err != nil || names(c.decisions) != "1 2" || len(c.unbans) != 0 {
		t.Errorf("loaded %s, %v, %v", names(c.decisions), c.unbans, err)
	}
}

func storageFilters(t *testing.T, st storage) {
	a, b, c := stored("a", "192.0.2.1/32", noon), stored("b", "192.0.2.0/24", noon.Add(time.Second)), stored("c", "2001:db8::/64", noon)
	b.Scenario, b.Origin, c.Origin = "", OriginManual, OriginAdopted
	put(t, st, a, b, c)
	for _, tc := range []struct {
		f    filter
		want string
	}{
		{filter{limit: 9}, "b c a"},
		{filter{limit: 2}, "b c"},
		{filter{limit: 9, scenario: "http-probing"}, "c a"},
		{filter{limit: 9, origin: OriginManual}, "b"},
		{filter{limit: 9, kept: noon.Add(time.Hour + time.Millisecond)}, "b"},
		{filter{limit: 9, prefixes: containing(a.Prefix)}, "b a"},
		{filter{limit: 9, prefixes: containing(b.Prefix)}, "b"},
		{filter{limit: 9, prefixes: containing(netip.MustParsePrefix("2001:db8::1/128"))}, "c"},
		{filter{limit: 9, after: positionOf(&c)}, "a"},
		{filter{limit: 9, after: positionOf(&c), scenario: "http-probing", prefixes: containing(a.Prefix), kept: noon}, "a"},
		{filter{limit: 9, scenario: "' OR 1=1 --"}, ""},
	} {
		ds, err := st.list(t.Context(), tc.f)
		if err != nil || names(ds) != tc.want {
			t.Errorf("%+v: %q, %v; want %q", tc.f, names(ds), err, tc.want)
		}
	}
}

func storageAbout(t *testing.T, st storage) {
	var b batch
	var asked []netip.Prefix
	n := 1200 // more than fit into one statement
	if st.shared() {
		n = 120 // where each is asked for by itself
	}
	for i := range n {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)
		asked = append(asked, p)
		if i%2 == 0 {
			b.put = append(b.put, stored(fmt.Sprint(i), p.String(), noon.Add(time.Duration(i%4)*time.Second)))
		}
	}
	put(t, st, b.put...)
	put(t, st, stored("range", "10.0.0.0/24", noon.Add(time.Hour)))
	got, err := st.about(t.Context(), asked, noon.Add(time.Hour+time.Second))
	if err != nil || len(got) != n/4 || !slices.Contains(got, asked[2]) || slices.Contains(got, asked[0]) || slices.Contains(got, asked[1]) {
		t.Errorf("%d prefixes, %v; want every fourth of %d", len(got), err, n)
	}
	if got, err := st.about(t.Context(), nil, noon); len(got) != 0 || err != nil {
		t.Errorf("about nothing: %v, %v", got, err)
	}
}

func storagePurges(t *testing.T, st storage) {
	var b batch
	for i := range 5 {
		at := noon.Add(time.Duration(i) * time.Second)
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32)
		b.put = append(b.put, stored(fmt.Sprint(i), "192.0.2.1/32", at))
		b.unban = append(b.unban, unban{p, at})
		b.allow = append(b.allow, AllowEntry{Prefix: p, Created: noon.Add(-time.Hour), Expires: at, version: 1})
		b.alerts = append(b.alerts, Alert{ID: fmt.Sprint(i), Prefix: p, Created: at, Until: at.Add(time.Hour)})
		b.audit = append(b.audit, Audit{ID: fmt.Sprint(i), At: at})
	}
	if err := st.write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	old := purge{ended: noon.Add(time.Hour + 4*time.Second), lifted: noon.Add(time.Second), audit: noon.Add(2 * time.Second)}
	for more := true; more; {
		var err error
		if more, err = st.purge(t.Context(), old, 2); err != nil {
			t.Fatal(err)
		}
	}
	if ds, err := st.list(t.Context(), filter{limit: 9, kept: old.ended}); err != nil || names(ds) != "4" {
		t.Errorf("left: %s, %v", names(ds), err)
	}
	if as, err := st.alerts(t.Context(), filter{limit: 9, kept: old.ended}); err != nil || len(as) != 1 || as[0].ID != "4" {
		t.Errorf("alerts left: %+v, %v", as, err)
	}
	c, err := st.load(t.Context(), noon, noon.Add(time.Second-time.Millisecond))
	if err != nil || len(c.unbans) != 4 {
		t.Errorf("unbans left: %v, %v", c.unbans, err)
	}
	if forgets(st) {
		if as, err := st.audit(t.Context(), position{}, 9); err != nil || len(as) != 3 || as[2].ID != "2" {
			t.Errorf("audit entries left: %+v, %v", as, err)
		}
		if len(c.allow) != 4 {
			t.Errorf("entries of the allowlist left: %v", c.allow)
		}
	}
}

// forgets reports whether a storage deletes what is too old itself, and not AWS.
func forgets(st storage) bool { return !st.shared() }

func storageKeepsAlerts(t *testing.T, st storage) {
	d := stored("a", "192.0.2.1/32", noon)
	why := &Context{Events: 3, Samples: []Sample{{Path: "/x"}}}
	made := Alert{ID: "a", Prefix: d.Prefix, Scenario: d.Scenario, At: d.At, Created: d.Created, Until: d.Until, Decision: "a"}
	vain := Alert{ID: "b", Prefix: netip.MustParsePrefix("2001:db8::/64"), Scenario: "other", At: noon, Created: noon.Add(time.Second), Until: noon.Add(time.Second), Decision: "a", Refused: refusedKnown, Context: why}
	b := batch{put: []Decision{d}, alerts: []Alert{made, vain}}
	for range 2 {
		if err := st.write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	full := made
	full.Context = d.Context
	for _, want := range []Alert{full, vain} {
		if got, ok, err := st.alert(t.Context(), want.ID); err != nil || !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %t, %v\nwant %+v", got, ok, err, want)
		}
	}
	if _, ok, err := st.alert(t.Context(), "c"); ok || err != nil {
		t.Errorf("an alert that was never put: %t, %v", ok, err)
	}
	vain.Context = nil
	for _, tc := range []struct {
		f    filter
		want []Alert
	}{
		{filter{limit: 9}, []Alert{vain, made}},
		{filter{limit: 1}, []Alert{vain}},
		{filter{limit: 9, after: vain.position()}, []Alert{made}},
		{filter{limit: 9, scenario: "other"}, []Alert{vain}},
		{filter{limit: 9, prefixes: containing(netip.MustParsePrefix("192.0.2.1/32"))}, []Alert{made}},
		{filter{limit: 9, kept: noon.Add(2 * time.Second)}, []Alert{made}},
		{filter{limit: 9, kept: noon.Add(2 * time.Hour)}, nil},
	} {
		got, err := st.alerts(t.Context(), tc.f)
		if err != nil || len(got) != len(tc.want) || len(got) > 0 && !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%+v: %+v, %v\nwant %+v", tc.f, got, err, tc.want)
		}
	}
	if ds, err := st.list(t.Context(), filter{limit: 9}); err != nil || names(ds) != "a" {
		t.Errorf("decisions: %s, %v", names(ds), err)
	}
}

// Of two entries about a prefix the higher version counts, in whatever order they come.
func storageAllowlist(t *testing.T, st storage) {
	p := netip.MustParsePrefix("192.0.2.0/24")
	first := AllowEntry{Prefix: p, Comment: "the <office>", Author: "me", Created: noon, Expires: noon.Add(time.Hour), version: 5}
	gone := AllowEntry{Prefix: p, Author: "me", Created: noon.Add(time.Minute), version: 7, removed: true}
	other := AllowEntry{Prefix: netip.MustParsePrefix("2001:db8::/48"), Created: noon, version: 1}
	for _, write := range [][]AllowEntry{{first}, {first, other}, {gone}, {first}} {
		if err := st.write(t.Context(), batch{allow: write}); err != nil {
			t.Fatal(err)
		}
		want := write[0]
		if c, err := st.load(t.Context(), noon, noon); err != nil || !slices.Contains(c.allow, want) && !slices.Contains(c.allow, gone) {
			t.Errorf("after %+v: %+v, %v", write, c.allow, err)
		}
	}
	c, err := st.load(t.Context(), noon, noon)
	slices.SortFunc(c.allow, func(a, b AllowEntry) int { return comparePrefixes(a.Prefix, b.Prefix) })
	if err != nil || !slices.Equal(c.allow, []AllowEntry{gone, other}) {
		t.Errorf("in the end: %+v, %v", c.allow, err)
	}
}

func storageAudit(t *testing.T, st storage) {
	var b batch
	for i := range 5 { // two of them at the same time
		b.audit = append(b.audit, Audit{ID: fmt.Sprint(i), At: noon.AddDate(0, i/2, 0), Actor: "me \u2028", Action: AuditBan, Target: "192.0.2.1", Detail: "why"})
	}
	for range 2 {
		if err := st.write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	var got []Audit
	var after position
	for {
		page, err := st.audit(t.Context(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		after = got[len(got)-1].position()
	}
	slices.Reverse(b.audit)
	if !slices.Equal(got, b.audit) {
		t.Errorf("%+v\nwant %+v", got, b.audit)
	}
}

// Pages of any size make up the whole list, in order, while decisions are made
// and purged in between.
func storagePages(t *testing.T, st storage) {
	s := testStore(t, Config{Now: newClock().Now}, st)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		var b batch
		var fixed []Decision
		for range rapid.IntRange(0, 12).Draw(rt, "decisions") {
			d := stored(fmt.Sprintf("%d/%06d", n, rapid.IntRange(0, 999999).Draw(rt, "id")), "192.0.2.1/32",
				noon.Add(time.Duration(rapid.IntRange(0, 3).Draw(rt, "created"))*time.Millisecond))
			d.Context = nil
			d.Scenario = fmt.Sprint("run ", n)
			b.put = append(b.put, d)
			if !slices.ContainsFunc(fixed, func(f Decision) bool { return f.ID == d.ID }) {
				fixed = append(fixed, d)
			} else {
				rt.Skip("an ID twice")
			}
		}
		put(t, st, b.put...)
		slices.SortFunc(fixed, func(a, b Decision) int {
			if positionOf(&a).before(positionOf(&b)) {
				return -1
			}
			return 1
		})
		q := Query{All: true, Scenario: fmt.Sprint("run ", n), Limit: rapid.IntRange(1, 5).Draw(rt, "limit")}
		var got []Decision
		for {
			page, err := s.List(t.Context(), q)
			if err != nil {
				rt.Fatal(err)
			}
			got = append(got, page.Decisions...)
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
			newer := stored(fmt.Sprintf("%d/new %d", n, len(got)), "192.0.2.1/32", noon.Add(time.Second))
			newer.Scenario = q.Scenario
			put(t, st, newer)
		}
		if names(got) != names(fixed) {
			rt.Fatalf("pages: %s\nwant %s", names(got), names(fixed))
		}
		n++
		if err := emptyOut(t.Context(), st); err != nil {
			rt.Fatal(err)
		}
	})
}

// emptyTable deletes all lists by time.
func emptyTable(ctx context.Context, st *table) error {
	var rs []types.WriteRequest
	for day, err := range st.query(ctx, stretch{pk: "days"}) {
		if err != nil {
			return err
		}
		for it, err := range st.query(ctx, stretch{pk: textOf(day[attrSK])}) {
			if err != nil {
				return err
			}
			rs = append(rs, deleteRequest(textOf(it[attrPK]), textOf(it[attrSK])))
		}
	}
	return st.writeAll(ctx, rs)
}

func TestListRefuses(t *testing.T) {
	s := testStore(t, Config{}, newMemory())
	for _, q := range []Query{{}, {Limit: -1}, {Limit: MaxLimit + 1}, {Limit: 1, Cursor: "!"}, {Limit: 1, Cursor: "AAAA"}} {
		if _, err := s.List(t.Context(), q); err == nil {
			t.Errorf("%+v is not refused", q)
		}
	}
}
