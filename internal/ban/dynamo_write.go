package ban

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// write stores a batch: see table for the order, and why it may be written again.
func (t *table) write(ctx context.Context, b batch) (err error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	defer func() {
		if err != nil {
			t.feed.owe()
		}
	}()
	found := make([]Decision, len(b.put)) // as they are in the table now
	if err := each(ctx, len(b.put), func(ctx context.Context, i int) (err error) {
		found[i], err = t.putDecision(ctx, &b.put[i])
		return err
	}); err != nil {
		return err
	}
	if err := t.change(ctx, &b); err != nil {
		return err
	}
	alerts := make([]Alert, len(b.alerts))
	if err := each(ctx, len(b.alerts), func(ctx context.Context, i int) (err error) {
		alerts[i], err = t.putAlert(ctx, &b.alerts[i])
		return err
	}); err != nil {
		return err
	}
	lists, days := t.lists(&b, found, alerts)
	if err := t.writeAll(ctx, lists); err != nil {
		return err
	}
	for _, day := range days {
		t.days.Store(day, true)
	}
	b.put = found
	return t.tell(ctx, &b)
}

// putDecision makes a decision, unless it is there, and returns it as it is then.
func (t *table) putDecision(ctx context.Context, d *Decision) (Decision, error) {
	k := key("id#"+d.ID, "decision")
	made := until(at("id#"+d.ID, "decision", decisionItem(d)), d.Until.Add(t.keep+slack))
	fresh, err := t.put(ctx, made, "attribute_not_exists(pk)", nil)
	if err != nil {
		return *d, err
	}
	now := *d
	now.Context = nil
	if !fresh {
		it, err := t.get1(ctx, "id#"+d.ID, "decision")
		if err != nil {
			return *d, err
		}
		if now, err = decisionOf(it); err != nil {
			now = *d
			now.Context = nil
			if err := t.replace(ctx, made, it, err); err != nil {
				return *d, err
			}
		}
		ends := !d.Removed.IsZero() && d.Until.Before(now.Until)
		if ends {
			now.Until, now.Removed = d.Until, d.Removed
			if err := t.end(ctx, k, d.Until); err != nil {
				return *d, err
			}
		}
		// One that another process made is held, or not, by what that one saw.
		if d.Held == "" && now.Held != "" && d.Created.Equal(now.Created) {
			now.Held = ""
			if err := t.free(ctx, k); err != nil {
				return *d, err
			}
		}
	}
	return now, t.force(ctx, &now)
}

// force puts a decision among those in force.
func (t *table) force(ctx context.Context, d *Decision) error {
	pk := "force#" + shard(d.ID)
	fresh, err := t.put(ctx, until(at(pk, d.ID, decisionItem(d)), d.Until.Add(forceLife)), "attribute_not_exists(pk)", nil)
	if err != nil || fresh {
		return err
	}
	if !d.Removed.IsZero() {
		if err := t.end(ctx, key(pk, d.ID), d.Until); err != nil {
			return err
		}
	}
	if d.Held == "" {
		return t.free(ctx, key(pk, d.ID))
	}
	return nil
}

// end ends a decision that is there and lasts longer.
func (t *table) end(ctx context.Context, k item, when time.Time) error {
	_, err := t.update(ctx, k, "SET #until = :at, removed = :at", "attribute_exists(pk) AND #until > :at", item{":at": number(millis(when))})
	return err
}

// free has a decision that is there be held no longer.
func (t *table) free(ctx context.Context, k item) error {
	_, err := t.update(ctx, k, "REMOVE held", "attribute_exists(pk)", nil)
	return err
}

// change makes the changes of a batch that have conditions. Those to one item are of one
// kind, but for a decision that is freed and ended, which are of different attributes.
func (t *table) change(ctx context.Context, b *batch) error {
	var todo []func(context.Context) error
	for _, id := range b.free {
		todo = append(todo,
			func(ctx context.Context) error { return t.free(ctx, key("id#"+id, "decision")) },
			func(ctx context.Context) error { return t.free(ctx, key("force#"+shard(id), id)) })
	}
	for _, e := range b.end {
		todo = append(todo,
			func(ctx context.Context) error { return t.end(ctx, key("id#"+e.id, "decision"), e.at) },
			func(ctx context.Context) error { return t.end(ctx, key("force#"+shard(e.id), e.id), e.at) })
	}
	for _, u := range b.unban {
		todo = append(todo, func(ctx context.Context) error {
			p := u.prefix.String()
			_, err := t.update(ctx, key("unban#"+shard(p), p), "SET #at = :at, #ttl = :ttl", "attribute_not_exists(pk) OR #at < :at",
				item{":at": number(millis(u.at)), ":ttl": number(u.at.Add(liftedLife + slack).Unix())})
			return err
		})
	}
	for _, e := range b.allow {
		todo = append(todo, func(ctx context.Context) error {
			row := rowOfAllow(&e)
			it := at("allow", e.Prefix.String(), item{"d": text(string(mustJSON(row))), "version": number(e.version)})
			switch {
			case e.removed:
				until(it, e.Created.Add(liftedLife+slack))
			case !e.Expires.IsZero():
				until(it, e.Expires.Add(liftedLife+slack))
			}
			_, err := t.put(ctx, it, "attribute_not_exists(pk) OR version < :version", item{":version": it["version"]})
			return err
		})
	}
	return each(ctx, len(todo), func(ctx context.Context, i int) error { return todo[i](ctx) })
}

// putAlert makes an alert, unless it is there, and returns it as it is then.
func (t *table) putAlert(ctx context.Context, a *Alert) (Alert, error) {
	it := until(at("id#"+a.ID, "alert", alertItem(a)), a.Until.Add(t.keep+slack))
	fresh, err := t.put(ctx, it, "attribute_not_exists(pk)", nil)
	if err != nil || fresh {
		return *a, err
	}
	there, err := t.get1(ctx, "id#"+a.ID, "alert")
	if err != nil {
		return *a, err
	}
	now, err := alertOfItem(there)
	if err != nil {
		return *a, t.replace(ctx, it, there, err)
	}
	now.Context = a.Context
	return now, nil
}

// replace puts an item where one is that cannot be read: what it was about would never
// be stored otherwise.
func (t *table) replace(ctx context.Context, it, damaged item, why error) error {
	if damaged != nil { // it may have expired just now
		t.unreadable(damaged, why)
	}
	condition, values := "attribute_not_exists(d)", item(nil)
	if d := damaged["d"]; d != nil {
		condition, values = "d = :d", item{":d": d}
	}
	ok, err := t.put(ctx, it, condition, values)
	if err == nil && !ok {
		err = t.explain("write to", errors.New("an item that cannot be read was changed meanwhile"))
	}
	return err
}

// lists returns what is written once: by what decisions and alerts are found, what led
// to them, and the audit log.
func (t *table) lists(b *batch, decisions []Decision, alerts []Alert) (rs []types.WriteRequest, fresh []string) {
	days := make(map[string]bool)
	add := func(pk, sk string, it item, ends time.Time) {
		rs = append(rs, putRequest(until(at(pk, sk, it), ends.Add(t.keep+slack))))
	}
	contexts := make(map[string]bool)
	context := func(id string, c *Context, ends time.Time) {
		if c != nil && !contexts[id] {
			contexts[id] = true
			add("id#"+id, "context", item{"c": &types.AttributeValueMemberB{Value: packContext(c)}}, ends)
		}
	}
	for i := range decisions {
		d := &decisions[i]
		where := positionOf(d)
		days["decisions#"+dayOf(where)] = true
		add("decisions#"+dayOf(where), where.sortKey(), item{"scenario": text(d.Scenario), "origin": text(string(d.Origin))}, d.Until)
		add("prefix#"+d.Prefix.String(), "decision#"+where.sortKey(), item{"until": number(millis(d.Until))}, d.Until)
		context(d.ID, b.put[i].Context, d.Until)
	}
	for i := range alerts {
		a := &alerts[i]
		where := a.position()
		days["alerts#"+dayOf(where)] = true
		add("alerts#"+dayOf(where), where.sortKey(), alertItem(a), a.Until)
		add("prefix#"+a.Prefix.String(), "alert#"+where.sortKey(), alertItem(a), a.Until)
		context(a.ID, a.Context, a.Until)
	}
	for i := range b.audit {
		a := &b.audit[i]
		where := a.position()
		days["audit#"+monthOf(where)] = true
		row := auditRow{a.ID, millis(a.At), a.Actor, a.Action, a.Target, a.Detail}
		rs = append(rs, putRequest(until(at("audit#"+monthOf(where), where.sortKey(), item{"d": text(string(mustJSON(row)))}), a.At.Add(auditLife+slack))))
	}
	for day := range days {
		if _, written := t.days.Load(day); !written {
			rs, fresh = append(rs, putRequest(at("days", day, item{}))), append(fresh, day)
		}
	}
	return rs, fresh
}

// auditOf reads an entry of the audit log.
func auditOf(it item) (Audit, error) {
	var r auditRow
	err := json.Unmarshal([]byte(textOf(it["d"])), &r)
	return Audit{ID: r.ID, At: fromMillis(r.At), Actor: r.Actor, Action: r.Action, Target: r.Target, Detail: r.Detail}, err
}

// purge deletes what other processes were told long ago; TTL does the rest. The latest
// entry of the feed stays, as the next one's number follows from it.
func (t *table) purge(ctx context.Context, p purge, limit int) (more bool, err error) {
	last := t.feed.position()
	var old []types.WriteRequest
	for it, err := range t.query(ctx, stretch{pk: "feed", low: feedKey(1), high: feedKey(last - 1), limit: int32(limit)}) {
		if err != nil {
			return false, err
		}
		if numberOf(it["at"]) >= millis(p.told) || len(old) == limit {
			break
		}
		old = append(old, deleteRequest("feed", textOf(it[attrSK])))
	}
	if err := t.writeAll(ctx, old); err != nil {
		return false, err
	}
	return len(old) == limit, nil
}
