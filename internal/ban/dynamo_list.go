package ban

import (
	"context"
	"iter"
	"strings"
	"sync"
)

// place is where something is listed.
type place struct {
	position
	item item
}

func (t *table) list(ctx context.Context, f filter) ([]Decision, error) {
	return listOf(ctx, t, "decision", &f, func(ctx context.Context, p place) (d Decision, ok bool, err error) {
		if s := p.item["scenario"]; f.scenario != "" && s != nil && textOf(s) != f.scenario {
			return d, false, nil
		}
		if o := p.item["origin"]; f.origin != "" && o != nil && textOf(o) != string(f.origin) {
			return d, false, nil
		}
		it, err := t.get1(ctx, "id#"+p.id, "decision")
		if err != nil || it == nil {
			return d, false, err
		}
		if d, err = decisionOf(it); err != nil {
			t.unreadable(it, err)
			return d, false, nil
		}
		// One that two processes made has two places; that of the one that counts is
		// its own.
		return d, f.matches(&d) && positionOf(&d) == p.position, nil
	})
}

func (t *table) alerts(ctx context.Context, f filter) ([]Alert, error) {
	return listOf(ctx, t, "alert", &f, func(_ context.Context, p place) (Alert, bool, error) {
		a, err := alertOfItem(p.item)
		if err != nil {
			t.unreadable(p.item, err)
			return a, false, nil
		}
		return a, f.matchesAlert(&a) && a.position() == p.position, nil
	})
}

// listOf returns up to f.limit of what is listed as a kind, the newest first: what each
// place leads to by way of read, which says whether it fits the filter.
func listOf[T any](ctx context.Context, t *table, kind string, f *filter, read func(context.Context, place) (T, bool, error)) (list []T, err error) {
	var places []place
	flush := func() error {
		found, ok := make([]T, len(places)), make([]bool, len(places))
		err := each(ctx, len(places), func(ctx context.Context, i int) (err error) {
			found[i], ok[i], err = read(ctx, places[i])
			return err
		})
		for i := range found {
			if ok[i] {
				list = append(list, found[i])
			}
		}
		places = places[:0]
		return err
	}
	for p, err := range t.places(ctx, kind, f) {
		if err != nil {
			return nil, err
		}
		if places = append(places, p); len(places) < f.limit-len(list) {
			continue
		}
		if err := flush(); err != nil || len(list) >= f.limit {
			return list, err
		}
	}
	return list, flush()
}

// places yields what is listed as a kind and may fit a filter, the newest first.
func (t *table) places(ctx context.Context, kind string, f *filter) iter.Seq2[place, error] {
	if len(f.prefixes) > 0 {
		return t.placesOf(ctx, kind, f)
	}
	return t.placesByTime(ctx, kind+"s#", dayOf, f.after, f.limit)
}

// placesByTime yields what the partitions of a kind list, each of them about the time
// that unit names.
func (t *table) placesByTime(ctx context.Context, kind string, unit func(position) string, after position, limit int) iter.Seq2[place, error] {
	return func(yield func(place, error) bool) {
		newest, high := kind+"9", lastSortKey
		if after != (position{}) {
			newest, high = kind+unit(after), after.sortKey()
		}
		for unit, err := range t.query(ctx, stretch{pk: "days", low: kind + "0", high: newest, backward: true}) {
			if err != nil {
				yield(place{}, err)
				return
			}
			s := stretch{pk: textOf(unit[attrSK]), low: "0", high: high, backward: true, limit: int32(min(limit, MaxLimit))}
			for it, err := range t.query(ctx, s) {
				if err != nil {
					yield(place{}, err)
					return
				}
				p, ok := t.placeOf(it, "")
				if ok && (after == (position{}) || after.before(p.position)) && !yield(p, nil) {
					return
				}
			}
		}
	}
}

// placesOf yields what is listed about the prefixes of a filter. Each of them has few.
func (t *table) placesOf(ctx context.Context, kind string, f *filter) iter.Seq2[place, error] {
	return func(yield func(place, error) bool) {
		high := kind + "#" + lastSortKey
		if f.after != (position{}) {
			high = kind + "#" + f.after.sortKey()
		}
		var mu sync.Mutex
		var all []place
		err := each(ctx, len(f.prefixes), func(ctx context.Context, i int) error {
			for it, err := range t.query(ctx, stretch{pk: "prefix#" + f.prefixes[i].String(), low: kind + "#0", high: high, backward: true}) {
				if err != nil {
					return err
				}
				p, ok := t.placeOf(it, kind+"#")
				if !ok {
					continue
				}
				if f.after == (position{}) || f.after.before(p.position) {
					mu.Lock()
					all = append(all, p)
					mu.Unlock()
				}
			}
			return nil
		})
		if err != nil {
			yield(place{}, err)
			return
		}
		newestFirst(all, func(p *place) position { return p.position })
		for _, p := range all {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// placeOf reads where an item is listed.
func (t *table) placeOf(it item, kind string) (_ place, ok bool) {
	p, err := parseSortKey(strings.TrimPrefix(textOf(it[attrSK]), kind))
	if err != nil {
		t.unreadable(it, err)
	}
	return place{p, it}, err == nil
}

func (t *table) audit(ctx context.Context, after position, limit int) (list []Audit, err error) {
	for p, err := range t.placesByTime(ctx, "audit#", monthOf, after, limit) {
		if err != nil {
			return nil, err
		}
		a, err := auditOf(p.item)
		if err != nil {
			t.unreadable(p.item, err)
			continue
		}
		if list = append(list, a); len(list) == limit {
			break
		}
	}
	return list, nil
}
