package ban

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// contents reads what a Store holds in memory. An item that cannot be read is passed
// over: it must not keep the others from being enforced.
func (t *table) contents(ctx context.Context, ended, lifted time.Time) (c contents, err error) {
	items, err := t.all(ctx, spreadOver("force"))
	if err != nil {
		return c, err
	}
	for _, it := range items {
		d, err := decisionOf(it)
		if err != nil {
			t.unreadable(it, err)
		} else if d.Until.After(ended) {
			c.decisions = append(c.decisions, d)
		}
	}
	if items, err = t.all(ctx, spreadOver("unban")); err != nil {
		return c, err
	}
	for _, it := range items {
		p, err := netip.ParsePrefix(textOf(it[attrSK]))
		u := unban{p, fromMillis(numberOf(it["at"]))}
		if err != nil {
			t.unreadable(it, err)
		} else if u.at.After(lifted) {
			c.unbans = append(c.unbans, u)
		}
	}
	if items, err = t.all(ctx, []stretch{{pk: "allow"}}); err != nil {
		return c, err
	}
	for _, it := range items {
		var row allowRow
		err := json.Unmarshal([]byte(textOf(it["d"])), &row)
		if err = cmp.Or(err, checkPrefix(row.Prefix)); err != nil {
			t.unreadable(it, err)
		} else if e := row.entry(); !e.over(lifted) {
			c.allow = append(c.allow, e)
		}
	}
	return c, nil
}

// unreadable notes an item that is left out.
func (t *table) unreadable(it item, err error) {
	t.bad.note(fmt.Sprintf("pk %q, sk %q", textOf(it[attrPK]), textOf(it[attrSK])), err)
}

// context reads what led to a decision or alert; nil: nothing is there that can be read.
func (t *table) context(it item) *Context {
	c, err := unpackContext(bytesOf(it["c"]))
	if err != nil {
		t.unreadable(it, err)
		return nil
	}
	return c
}

func (t *table) get(ctx context.Context, id string) (d Decision, ok bool, err error) {
	found, err := t.about1(ctx, id)
	if err != nil || found["decision"] == nil {
		return d, false, err
	}
	if d, err = decisionOf(found["decision"]); err == nil {
		d.Context = t.context(found["context"])
	}
	return d, err == nil, t.explain("read from", err)
}

func (t *table) alert(ctx context.Context, id string) (a Alert, ok bool, err error) {
	found, err := t.about1(ctx, id)
	if err != nil || found["alert"] == nil {
		return a, false, err
	}
	if a, err = alertOfItem(found["alert"]); err == nil {
		a.Context = t.context(found["context"])
	}
	return a, err == nil, t.explain("read from", err)
}

// about1 returns all that there is under an ID, by sort key.
func (t *table) about1(ctx context.Context, id string) (map[string]item, error) {
	found := make(map[string]item)
	if id == "" || len(id) > 255 { // none of ours, and no key of DynamoDB's perhaps
		return found, nil
	}
	for it, err := range t.query(ctx, stretch{pk: "id#" + id}) {
		if err != nil {
			return nil, err
		}
		found[textOf(it[attrSK])] = it
	}
	return found, nil
}

// about asks for each prefix by itself. Who adopts entries of IP sets asks for those
// alone that nothing in force accounts for.
func (t *table) about(ctx context.Context, prefixes []netip.Prefix, ended time.Time) ([]netip.Prefix, error) {
	known := make([]bool, len(prefixes))
	err := each(ctx, len(prefixes), func(ctx context.Context, i int) error {
		for it, err := range t.query(ctx, stretch{pk: "prefix#" + prefixes[i].String(), low: "decision#0", high: "decision#" + lastSortKey, backward: true}) {
			if err != nil {
				return err
			}
			if numberOf(it["until"]) <= millis(ended) { // when it was made; it can only have become less
				continue
			}
			p, err := parseSortKey(strings.TrimPrefix(textOf(it[attrSK]), "decision#"))
			if err != nil {
				t.unreadable(it, err)
				continue
			}
			home, err := t.get1(ctx, "id#"+p.id, "decision")
			if err != nil {
				return err
			}
			if numberOf(home["until"]) > millis(ended) {
				known[i] = true
				return nil
			}
		}
		return nil
	})
	var found []netip.Prefix
	for i, p := range prefixes {
		if known[i] {
			found = append(found, p)
		}
	}
	return found, err
}
