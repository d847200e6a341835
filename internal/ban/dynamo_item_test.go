package ban

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/zap"

	"weir/internal/awslocal"
)

// What others have written into the table is read or refused, and nothing else happens.
// What is read can be written again.
func FuzzItems(f *testing.F) {
	d := stored("a", "192.0.2.1/32", noon)
	f.Add(textOf(decisionItem(&d)["d"]), packContext(d.Context), "000000000000001#a")
	f.Add(`{"prefix":"::/0","at":-1}`, pack([]byte(`{"put":[{"prefix":"1.2.3.4/32"}],"all":true}`)), "#")
	f.Add("null", []byte("\x1f\x8b"), "")
	f.Fuzz(func(t *testing.T, d string, c []byte, sk string) {
		it := at("x", sk, item{"d": text(d), "c": &types.AttributeValueMemberB{Value: c}, "until": text(d), "version": text(sk)})
		if got, err := decisionOf(it); err == nil {
			again, err := decisionOf(decisionItem(&got))
			if err != nil || rowOf(&again) != rowOf(&got) {
				t.Errorf("%+v is %+v, %v, when it was written", got, again, err)
			}
		}
		if got, err := alertOfItem(it); err == nil {
			if again, err := alertOfItem(alertItem(&got)); err != nil || again != got {
				t.Errorf("%+v is %+v, %v, when it was written", got, again, err)
			}
		}
		auditOf(it)
		feedNumber(it)
		unpackContext(c)
		var row allowRow
		if json.Unmarshal([]byte(d), &row) == nil && checkPrefix(row.Prefix) == nil {
			e := row.entry()
			e.over(noon)
		}
		st := &table{bad: unreadable{log: zap.NewNop()}}
		st.placeOf(it, "")
		if e := hear(it); e != nil {
			var b batch
			e.addTo(&b)
		}
	})
}

// A foreign item of each kind hides none of ours.
func TestForeignItemsAreLeftOut(t *testing.T) {
	w := newCloud(t, awslocal.Config{})
	st := w.storage()
	ours := stored("a", "192.0.2.1/32", noon)
	entry := AllowEntry{Prefix: ours.Prefix, Created: noon, version: 1}
	if err := st.write(t.Context(), batch{put: []Decision{ours}, unban: []unban{{ours.Prefix, noon}}, allow: []AllowEntry{entry}}); err != nil {
		t.Fatal(err)
	}
	for i, it := range []item{
		at("force#3", "b", item{"d": text("{")}),
		at("force#4", "c", item{"d": number(1), "until": text("never")}),
		at("unban#0", "somebody", item{}),
		at("allow", "everybody", item{"d": text("[]")}),
	} {
		if ok, err := st.put(t.Context(), it, "", nil); !ok || err != nil {
			t.Fatal(i, err)
		}
	}
	c, err := st.load(t.Context(), noon, noon.Add(-time.Minute))
	if err != nil || names(c.decisions) != "a" || len(c.unbans) != 1 || len(c.allow) != 1 {
		t.Errorf("loaded %+v, %v", c, err)
	}
	if n := st.unread(); n != 4 {
		t.Errorf("%d items are told as unreadable, want 4", n)
	}
}

// More is loaded, and listed, than DynamoDB gives in an answer of a megabyte.
func TestLongReasonsTakePages(t *testing.T) {
	w := newCloud(t, awslocal.Config{})
	st := w.storage()
	var b batch
	for i := 0; len(b.put) < 9; i++ {
		if shard(fmt.Sprint("id", i)) != "7" { // all of them in one partition
			continue
		}
		p := fmt.Sprintf("192.0.2.%d/32", len(b.put))
		d := stored(fmt.Sprint("id", i), p, noon)
		d.Reason, d.Context = strings.Repeat("x", 300_000), nil
		b.put = append(b.put, d)
	}
	for i := range b.put { // one by one: what others are told of is for real reasons
		if _, err := st.putDecision(t.Context(), &b.put[i]); err != nil {
			t.Fatal(err)
		}
	}
	before := len(w.server.Calls())
	c, err := st.load(t.Context(), noon, noon)
	if err != nil || len(c.decisions) != 9 {
		t.Errorf("loaded %d, %v", len(c.decisions), err)
	}
	queries := 0
	for _, call := range w.server.Calls()[before:] {
		if call.Action == "Query" {
			queries++
		}
	}
	if least := 2*spread + 2; queries <= least { // one for each partition, the feed and the allowlist
		t.Errorf("%d queries: nothing took a second page", queries)
	}
}

// A context that is larger than an item may be keeps its latest requests.
func TestLargeContextsFit(t *testing.T) {
	c := &Context{Events: 2000}
	dice := uint64(1)
	for i := range 2000 {
		var b strings.Builder
		for range 40 { // hardly to be compressed
			dice = dice*6364136223846793005 + 1442695040888963407
			fmt.Fprintf(&b, "%x", dice)
		}
		c.Samples = append(c.Samples, Sample{Path: fmt.Sprint(i, b.String())})
	}
	packed := packContext(c)
	got, err := unpackContext(packed)
	if err != nil || len(packed) > maxPacked || len(got.Samples) == 0 || len(got.Samples) == len(c.Samples) {
		t.Fatalf("%d bytes, %v", len(packed), err)
	}
	if last := got.Samples[len(got.Samples)-1]; last.Path != c.Samples[len(c.Samples)-1].Path || len(c.Samples) != 2000 {
		t.Error("the latest request is not there, or the caller's context was changed")
	}
}

// What DynamoDB may delete is what nobody reads any more, and what has no end stays.
func TestItemsThatEnd(t *testing.T) {
	w := newCloud(t, awslocal.Config{})
	st := w.storage()
	d := stored("a", "192.0.2.1/32", noon)
	forever := AllowEntry{Prefix: d.Prefix, Created: noon, version: 1}
	if err := st.write(t.Context(), batch{put: []Decision{d}, unban: []unban{{d.Prefix, noon}}, allow: []AllowEntry{forever}, audit: []Audit{{ID: "x", At: noon}}}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		pk   string
		read time.Time // at least until then; zero: for ever
	}{
		{"id#a", d.Until.Add(st.keep)},
		{"force#" + shard("a"), d.Until.Add(endedLife)},
		{"prefix#192.0.2.1/32", d.Until.Add(st.keep)},
		{"unban#" + shard("192.0.2.1/32"), noon.Add(liftedLife)},
		{"audit#" + monthOf(position{created: millis(noon)}), noon.Add(auditLife)},
		{pk: "allow"},
		{pk: "days"},
		{pk: "meta"},
		{pk: "feed"},
	} {
		n := 0
		for it, err := range st.query(t.Context(), stretch{pk: tc.pk}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			_, ends := it[attrTTL]
			if ends != !tc.read.IsZero() || ends && numberOf(it[attrTTL]) <= tc.read.Unix() {
				t.Errorf("%s: may be deleted at %d (%t), and is read until %v", tc.pk, numberOf(it[attrTTL]), ends, tc.read)
			}
		}
		if n == 0 && tc.pk != "meta" {
			t.Errorf("nothing in %s", tc.pk)
		}
	}
}
