package waf

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

// tokenBook keeps what clients saw of every IP set: the calls of all Writers, in
// the order in which they began and ended, and what people did. It does not ask the
// stand-in what really happened.
type tokenBook struct {
	mu   sync.Mutex
	tick int64
	ops  map[string][]*tokenOp // by set
	lag  bool                  // reads may be old: they say nothing about the present
	calm int64                 // since when they are not, if they are not
}

func newTokenBook() *tokenBook { return &tokenBook{ops: make(map[string][]*tokenOp)} }

// tokenOp is one call about one set.
type tokenOp struct {
	kind        tokenKind
	began, done int64
	sent        tokenState // update: the token that it named, and the new content
	seen        tokenState // read: all of it; update: the token that it made; edit: the content before
	after       uint64     // edit: the sum after it
	result      tokenResult
}

type (
	tokenKind   uint8
	tokenResult uint8
)

const (
	opUpdate tokenKind = iota
	opGet
	opList
	opEdit // by a person, who sees the newest state and replaces it at once
)

const (
	opDone     tokenResult = iota
	opConflict             // the token was not the newest
	opUnknown              // no answer, or one that does not say
)

// tokenState is a set: the register that the token guards.
type tokenState struct {
	token string // "" = nobody has seen it yet
	sum   uint64 // of the addresses
	desc  string
}

// now is a moment among those at which calls began and ended.
func (b *tokenBook) now() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tick++
	return b.tick
}

func (b *tokenBook) add(set string, began int64, op tokenOp) *tokenOp {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tick++
	op.began, op.done = began, b.tick
	b.ops[set] = append(b.ops[set], &op)
	return &op
}

// lags says from when on reads may be behind the times, or are not any more: such
// reads prove nothing.
func (b *tokenBook) lags(do bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tick++
	b.lag, b.calm = do, b.tick
}

// prompt reports whether a read that began then, and ends now, was never behind.
func (b *tokenBook) prompt(began int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.lag && began > b.calm
}

func (b *tokenBook) listed(set string, began int64, s types.IPSetSummary) {
	if b.prompt(began) {
		b.add(set, began, tokenOp{kind: opList, seen: tokenState{token: aws.ToString(s.LockToken), desc: aws.ToString(s.Description)}})
	}
}

func (b *tokenBook) got(set string, began int64, out *wafv2.GetIPSetOutput) {
	if b.prompt(began) {
		b.add(set, began, tokenOp{kind: opGet, seen: tokenState{aws.ToString(out.LockToken), sumOf(out.IPSet.Addresses), aws.ToString(out.IPSet.Description)}})
	}
}

func (b *tokenBook) updated(set string, began int64, in *wafv2.UpdateIPSetInput, out *wafv2.UpdateIPSetOutput, err error) {
	op := tokenOp{kind: opUpdate, sent: tokenState{aws.ToString(in.LockToken), sumOf(in.Addresses), aws.ToString(in.Description)}}
	var conflict *types.WAFOptimisticLockException
	switch {
	case err == nil:
		op.seen.token = aws.ToString(out.NextLockToken)
	case errors.As(err, &conflict):
		op.result = opConflict
	case classify(err) == throttled:
		return // it had no effect
	default:
		op.result = opUnknown
	}
	kept := b.add(set, began, op)
	if op.result == opUnknown { // it may yet have an effect, for as long as the stand-in lets it be late
		b.mu.Lock()
		defer b.mu.Unlock()
		kept.done = math.MaxInt64
		time.AfterFunc(stillLands, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.tick++
			kept.done = b.tick
		})
	}
}

// edited takes a person's edit, by the history, since a person is told no token.
func (b *tokenBook) edited(set string, before, after uint64) {
	b.add(set, b.now(), tokenOp{kind: opEdit, seen: tokenState{sum: before}, after: after})
}

// stillLands is how long after its beginning an update may still land.
const stillLands = 20 * time.Second

func sumOf(addresses []string) (sum uint64) {
	for _, a := range addresses {
		sum += hash64(netip.MustParsePrefix(a))
	}
	return sum
}

// tokenModel is a register with compare-and-swap: an update with the newest token
// replaces all and makes another token, one with any other changes nothing, and a
// read gives what is there. What an update without an answer did is open.
var tokenModel = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{tokenState{}} },
	Step: func(state, input, _ any) []any {
		s, op := state.(tokenState), input.(*tokenOp)
		newest := s.token == "" || s.token == op.sent.token
		switch op.kind {
		case opEdit:
			if op.seen.sum == s.sum {
				return []any{tokenState{"", op.after, s.desc}}
			}
		case opGet:
			if (s.token == "" || s.token == op.seen.token) && s.sum == op.seen.sum && s.desc == op.seen.desc {
				return []any{op.seen}
			}
		case opList:
			if (s.token == "" || s.token == op.seen.token) && s.desc == op.seen.desc {
				return []any{tokenState{op.seen.token, s.sum, s.desc}}
			}
		case opUpdate:
			next := tokenState{op.seen.token, op.sent.sum, op.sent.desc}
			switch op.result {
			case opDone:
				if newest {
					return []any{next}
				}
			case opConflict:
				if s.token == "" || !newest {
					return []any{s}
				}
			case opUnknown:
				if newest {
					return []any{s, next}
				}
				return []any{s}
			}
		}
		return nil
	},
	Equal: func(a, b any) bool { return a == b },
}).ToModel()

// check has porcupine look for an order of all calls in which every set was such a
// register. It must be called outside of a bubble, since it measures its own time.
func (b *tokenBook) check() (calls int, err error) {
	for set, ops := range b.ops {
		calls += len(ops)
		list := make([]porcupine.Operation, len(ops))
		for i, op := range ops {
			list[i] = porcupine.Operation{Input: op, Call: op.began, Return: op.done}
		}
		if porcupine.CheckOperationsTimeout(tokenModel, list, time.Minute) == porcupine.Illegal {
			return calls, fmt.Errorf("the %d calls about %s fit no order in which its lock token guards it", len(ops), set)
		}
	}
	return calls, nil
}

// TestTokenModelKnowsWrongHistories: a checker that finds nothing has to be able to.
func TestTokenModelKnowsWrongHistories(t *testing.T) {
	a, b, c := tokenState{"a", 1, "one"}, tokenState{"b", 2, "two"}, tokenState{"c", 3, "three"}
	get := func(s tokenState) tokenOp { return tokenOp{kind: opGet, seen: s} }
	update := func(from, to tokenState) tokenOp {
		return tokenOp{kind: opUpdate, sent: tokenState{from.token, to.sum, to.desc}, seen: tokenState{token: to.token}}
	}
	ends := func(op tokenOp, r tokenResult) tokenOp { op.result = r; return op }
	first := tokenOp{kind: opUpdate, sent: tokenState{"", a.sum, a.desc}, seen: tokenState{token: a.token}}
	for name, tt := range map[string]struct {
		legal bool
		ops   []tokenOp
	}{
		"chain":                    {true, []tokenOp{first, update(a, b), update(b, c), get(c)}},
		"lost update":              {false, []tokenOp{first, update(a, b), update(a, c)}},
		"conflict":                 {true, []tokenOp{first, update(a, b), ends(update(a, c), opConflict), get(b)}},
		"conflict without a cause": {false, []tokenOp{first, ends(update(a, c), opConflict)}},
		"no answer, applied":       {true, []tokenOp{first, ends(update(a, b), opUnknown), get(b)}},
		"no answer, not applied":   {true, []tokenOp{first, ends(update(a, b), opUnknown), get(a), update(a, c)}},
		"no answer, half applied":  {false, []tokenOp{first, ends(update(a, b), opUnknown), get(tokenState{"x", b.sum, a.desc})}},
		"both":                     {false, []tokenOp{first, ends(update(a, b), opUnknown), get(b), update(a, c)}},
		"old read":                 {false, []tokenOp{first, update(a, b), get(a)}},
		"edit":                     {true, []tokenOp{first, {kind: opEdit, seen: tokenState{sum: 1}, after: 9}, ends(update(a, b), opConflict), get(tokenState{"e", 9, "one"})}},
		"edit unseen":              {false, []tokenOp{first, {kind: opEdit, seen: tokenState{sum: 1}, after: 9}, get(a), update(a, b)}},
	} {
		book := newTokenBook()
		for _, op := range tt.ops {
			book.add("set", book.now(), op)
		}
		if _, err := book.check(); (err == nil) != tt.legal {
			t.Errorf("%s: %v", name, err)
		}
	}
}
