package ban

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

const (
	feedLife   = time.Hour        // how long entries of the feed are kept
	reloadLife = 10 * time.Minute // how long nothing but the feed is read

	// maxTold is how many changes an entry of the feed tells of, at most: with the
	// longest reasons they fit into an item even if nothing of them can be compressed.
	maxTold = 200

	// farBehind is how many entries are read one by one. Whoever has more to read is
	// quicker when he reads what there is in the end.
	farBehind = 2000

	// lostRaces is how often another process may be quicker to take the next number
	// before it is asked how far they have come.
	lostRaces = 4

	// restLife is how old what is known of the feed's end may be: past the lives of its
	// entries the next number might be free because it was deleted.
	restLife = feedLife / 2

	// ownPuts is how many decisions of this process are remembered for the sake of
	// unbans by others who did not know of them yet.
	ownPuts = 10_000
)

// feed is where a process is in the feed.
type feed struct {
	mu       sync.Mutex
	head     int64     // the highest number that is known to be taken
	seen     time.Time // when that was known, on the wall clock, which does not stop with the process
	last     int64     // all up to this one was read
	owed     bool      // others have to read all again: a batch was written in part
	reloaded time.Time
	own      []ownPut // oldest first
}

// ownPut is a decision that this process has told others of.
type ownPut struct {
	number int64
	id     string
	prefix netip.Prefix
	at     int64 // event time, Unix ms
}

func (f *feed) owe() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owed = true
}

// position is the number up to which all was read.
func (f *feed) position() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

func (f *feed) taken(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.head, f.seen = max(f.head, n), time.Now().Round(0)
}

// told is an entry of the feed as JSON has it.
type told struct {
	Put    []decisionRow `json:"put,omitempty"`
	Free   []string      `json:"free,omitempty"`
	End    []toldEnd     `json:"end,omitempty"`
	Unban  []toldUnban   `json:"unban,omitempty"`
	Allow  []allowRow    `json:"allow,omitempty"`
	Closed []string      `json:"closed,omitempty"`
	Known  int64         `json:"known"`         // what the teller had read when he told
	All    bool          `json:"all,omitempty"` // everything is to be read again
}

type toldEnd struct {
	ID string `json:"id"`
	At int64  `json:"at"`
}

type toldUnban struct {
	Prefix netip.Prefix `json:"prefix"`
	At     int64        `json:"at"`
}

func (e *told) size() int {
	return len(e.Put) + len(e.Free) + len(e.End) + len(e.Unban) + len(e.Allow) + len(e.Closed)
}

// tellings puts what others have to know of a batch into entries.
func tellings(b *batch) (list []*told) {
	next := func() *told {
		if last := len(list) - 1; last >= 0 && list[last].size() < maxTold {
			return list[last]
		}
		list = append(list, new(told))
		return list[len(list)-1]
	}
	for i := range b.put {
		e := next()
		e.Put = append(e.Put, rowOf(&b.put[i]))
	}
	for _, id := range b.free {
		e := next()
		e.Free = append(e.Free, id)
	}
	for _, x := range b.end {
		e := next()
		e.End = append(e.End, toldEnd{x.id, millis(x.at)})
	}
	for _, u := range b.unban {
		e := next()
		e.Unban = append(e.Unban, toldUnban{u.prefix, millis(u.at)})
	}
	for i := range b.allow {
		e := next()
		e.Allow = append(e.Allow, rowOfAllow(&b.allow[i]))
	}
	for _, c := range b.closed {
		e := next()
		e.Closed = append(e.Closed, c)
	}
	return list
}

// tell tells other processes of a batch that is stored.
func (t *table) tell(ctx context.Context, b *batch) error {
	for _, e := range tellings(b) {
		e.Known = t.feed.position()
		n, err := t.append(ctx, e)
		if err != nil {
			return err
		}
		t.feed.remember(n, e.Put)
	}
	return nil
}

func (f *feed) remember(number int64, put []decisionRow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range put {
		if r := &put[i]; r.Origin == OriginScenario {
			f.own = append(f.own, ownPut{number, r.ID, r.Prefix, r.At})
		}
	}
	if len(f.own) > 2*ownPuts {
		f.own = append([]ownPut(nil), f.own[len(f.own)-ownPuts:]...)
	}
}

// append puts an entry at the end of the feed and returns its number.
func (t *table) append(ctx context.Context, e *told) (int64, error) {
	token := t.process + randomID()
	it := item{"by": text(token), "at": number(time.Now().UnixMilli()), "c": &types.AttributeValueMemberB{Value: pack(mustJSON(e))}}
	for lost := 0; ; lost++ {
		t.feed.mu.Lock()
		head, rested := t.feed.head, time.Now().Round(0).Sub(t.feed.seen)
		t.feed.mu.Unlock()
		if head == 0 || rested > restLife || rested < 0 || lost > 0 && lost%lostRaces == 0 {
			var err error
			if head, err = t.lastNumber(ctx); err != nil {
				return 0, err
			}
		}
		n := head + 1
		ok, err := t.put(ctx, at("feed", feedKey(n), it), "attribute_not_exists(pk)", nil)
		if err != nil {
			return 0, err
		}
		if !ok { // by a try of ours whose answer was lost, perhaps
			there, err := t.get1(ctx, "feed", feedKey(n))
			if err != nil {
				return 0, err
			}
			ok = textOf(there["by"]) == token
		}
		t.feed.taken(n)
		if ok {
			return n, nil
		}
	}
}

// lastNumber returns the number of the latest entry; 0: there is none.
func (t *table) lastNumber(ctx context.Context) (int64, error) {
	for it, err := range t.query(ctx, stretch{pk: "feed", low: feedKey(1), high: lastFeedKey, backward: true, limit: 1}) {
		if err != nil {
			return 0, err
		}
		n, err := feedNumber(it)
		if err != nil {
			t.unreadable(it, err)
			continue
		}
		t.feed.taken(n)
		return n, nil
	}
	return 0, nil
}

func feedKey(n int64) string { return fmt.Sprintf("%016d", max(n, 0)) }

// lastFeedKey is that of the highest number there can be. Whatever has another key
// is no entry.
var lastFeedKey = feedKey(9999999999999999)

func feedNumber(it item) (int64, error) {
	sk := textOf(it[attrSK])
	n, err := strconv.ParseInt(sk, 10, 64)
	if err == nil && feedKey(n) != sk {
		err = fmt.Errorf("entry of the feed: sort key %q", sk)
	}
	return n, err
}

// follow returns what was changed, by whichever process, since the last call or load.
// missed are decisions of this process which somebody would have ended who unbanned
// their client, had he known of them. After an error the next call returns it all.
func (t *table) follow(ctx context.Context, ended, lifted time.Time) (b batch, missed []string, err error) {
	if err := t.settleDebt(ctx); err != nil {
		return b, nil, err
	}
	t.feed.mu.Lock()
	last, stale := t.feed.last, time.Since(t.feed.reloaded) >= reloadLife
	t.feed.mu.Unlock()
	if stale {
		b, err := t.reload(ctx, ended, lifted)
		return b, nil, err
	}
	from := last
	for it, err := range t.query(ctx, stretch{pk: "feed", low: feedKey(last + 1), high: lastFeedKey}) {
		if err != nil {
			return b, nil, err
		}
		n, err := feedNumber(it)
		if err != nil {
			t.unreadable(it, err)
			continue
		}
		e := hear(it)
		if n != last+1 || n-from > farBehind || e == nil || e.All {
			b, err := t.reload(ctx, ended, lifted)
			return b, nil, err
		}
		last++
		e.addTo(&b)
		if !strings.HasPrefix(textOf(it["by"]), t.process) {
			missed = append(missed, t.feed.missedBy(e)...)
		}
	}
	t.feed.mu.Lock()
	defer t.feed.mu.Unlock()
	t.feed.last, t.feed.head, t.feed.seen = last, max(t.feed.head, last), time.Now().Round(0)
	return b, missed, nil
}

// hear reads an entry. nil: it is of a newer Weir, or damaged; the rows that it is about
// can still be read.
func hear(it item) *told {
	raw, err := unpack(bytesOf(it["c"]))
	if err != nil {
		return nil
	}
	e := new(told)
	if json.Unmarshal(raw, e) != nil {
		return nil
	}
	return e
}

func (e *told) addTo(b *batch) {
	for i := range e.Put {
		b.put = append(b.put, e.Put[i].decision())
	}
	b.free = append(b.free, e.Free...)
	for _, x := range e.End {
		b.end = append(b.end, ending{x.ID, fromMillis(x.At)})
	}
	for _, u := range e.Unban {
		b.unban = append(b.unban, unban{u.Prefix, fromMillis(u.At)})
	}
	for i := range e.Allow {
		b.allow = append(b.allow, e.Allow[i].entry())
	}
	b.closed = append(b.closed, e.Closed...)
}

// missedBy returns the decisions of this process that the unbans of an entry are about,
// and which its teller had not read of.
func (f *feed) missedBy(e *told) (ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, u := range e.Unban {
		for i := len(f.own) - 1; i >= 0 && f.own[i].number > e.Known; i-- {
			if o := &f.own[i]; covers(u.Prefix, o.prefix) && o.at <= u.At {
				ids = append(ids, o.id)
			}
		}
	}
	return ids
}

// settleDebt has everybody read all again after a batch that was written in part.
func (t *table) settleDebt(ctx context.Context) error {
	t.feed.mu.Lock()
	owed := t.feed.owed
	t.feed.owed = false
	t.feed.mu.Unlock()
	if !owed {
		return nil
	}
	if _, err := t.append(ctx, &told{Known: t.feed.position(), All: true}); err != nil {
		t.feed.owe()
		return err
	}
	return nil
}

// reload returns everything as changes.
func (t *table) reload(ctx context.Context, ended, lifted time.Time) (batch, error) {
	c, err := t.load(ctx, ended, lifted)
	return batch{put: c.decisions, unban: c.unbans, allow: c.allow}, err
}

// load reads everything, after the number from which the feed is followed then.
func (t *table) load(ctx context.Context, ended, lifted time.Time) (c contents, err error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	defer func() {
		// What is asked here is always the same: DynamoDB takes it of a table with our keys.
		if refused := smithy.APIError(nil); errors.As(err, &refused) && refused.ErrorCode() == "ValidationException" {
			err = fmt.Errorf("%w: its keys are not the strings %s and %s (WEIR_BAN_TABLE names a table of its own, which weir bootstrap makes): %w", errTable, attrPK, attrSK, err)
		}
	}()
	if err := t.check(ctx); err != nil {
		return c, err
	}
	begun := time.Now()
	head, err := t.lastNumber(ctx)
	if err != nil {
		return c, err
	}
	if c, err = t.contents(ctx, ended, lifted); err != nil {
		return c, err
	}
	t.feed.mu.Lock()
	defer t.feed.mu.Unlock()
	t.feed.last, t.feed.reloaded = max(t.feed.last, head), begun
	return c, nil
}
