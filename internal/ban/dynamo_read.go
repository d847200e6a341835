package ban

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"go.uber.org/zap"
)

// contents reads what a Store holds in memory. An item that cannot be read is passed
// over: it must not keep the others from being enforced.
func (t *table) contents(ctx context.Context, ended, lifted time.Time) (c contents, err error) {
	bad := 0
	items, err := t.all(ctx, spreadOver("force"))
	if err != nil {
		return c, err
	}
	for _, it := range items {
		d, err := decisionOf(it)
		if err != nil {
			bad += t.unreadable(it, err)
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
			bad += t.unreadable(it, err)
		} else if u.at.After(lifted) {
			c.unbans = append(c.unbans, u)
		}
	}
	if items, err = t.all(ctx, []stretch{{pk: "allow"}}); err != nil {
		return c, err
	}
	for _, it := range items {
		var row allowRow
		if err := json.Unmarshal([]byte(textOf(it["d"])), &row); err != nil || checkPrefix(row.Prefix) != nil {
			bad += t.unreadable(it, err)
		} else if e := row.entry(); !e.over(lifted) {
			c.allow = append(c.allow, e)
		}
	}
	t.damaged.Store(int64(bad))
	return c, nil
}

// unreadable tells of an item, unless others were told of at the last load.
func (t *table) unreadable(it item, err error) int {
	if t.damaged.Load() == 0 {
		t.log.Error("an item of the table cannot be read and is left out; delete it if it was not written by a newer Weir",
			zap.String("table", t.name), zap.String("pk", textOf(it[attrPK])), zap.String("sk", textOf(it[attrSK])), zap.Error(err))
	}
	return 1
}

func (t *table) get(ctx context.Context, id string) (d Decision, ok bool, err error) {
	found, err := t.about1(ctx, id)
	if err != nil || found["decision"] == nil {
		return d, false, err
	}
	if d, err = decisionOf(found["decision"]); err == nil {
		d.Context, err = unpackContext(bytesOf(found["context"]["c"]))
	}
	return d, err == nil, t.explain("read from", err)
}

func (t *table) alert(ctx context.Context, id string) (a Alert, ok bool, err error) {
	found, err := t.about1(ctx, id)
	if err != nil || found["alert"] == nil {
		return a, false, err
	}
	if a, err = alertOfItem(found["alert"]); err == nil {
		a.Context, err = unpackContext(bytesOf(found["context"]["c"]))
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
				return t.explain("read from", err)
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
