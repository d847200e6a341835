package ban

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// auditLife is how long the audit log is kept: people ask about what was done last
// year in autumn.
const auditLife = 400 * 24 * time.Hour

// maxActor is how long the name of an actor may be, in bytes.
const maxActor = 200

// Audit is an entry of the audit log: somebody did something.
type Audit struct {
	ID     string
	At     time.Time // UTC, to a millisecond
	Actor  string    // who did it, as WithActor was told; Weir itself without
	Action string    // what, in a word: see the constants
	Target string    // to whom or what: a prefix, a scenario, ...; may be empty
	Detail string    // how and why, in words for people; may be empty
}

// What people do.
const (
	AuditBan      = "ban"
	AuditUnban    = "unban"
	AuditFlush    = "flush"    // an unban of many
	AuditLift     = "lift"     // an unban by taking an address out of an IP set
	AuditRelease  = "release"  // of what a circuit breaker held
	AuditDrop     = "drop"     // the same, ending it
	AuditAllow    = "allow"    // an entry of the allowlist was added, or changed
	AuditDisallow = "disallow" // one was removed
	AuditPanicOn  = "panic-on" // a web ACL was told to enforce no ban; see Note
	AuditPanicOff = "panic-off"
)

func (a *Audit) position() position { return position{millis(a.At), a.ID} }

type actorKey struct{}

// WithActor says on whose behalf is done what is done with the context: the audit
// log names him. What a log or a terminal cannot show is left out of the name, and
// what is beyond 200 bytes.
func WithActor(ctx context.Context, actor string) context.Context {
	actor = strings.Map(func(c rune) rune {
		if c == utf8.RuneError || unicode.IsControl(c) {
			return -1
		}
		return c
	}, actor)
	for len(actor) > maxActor {
		_, n := utf8.DecodeLastRuneInString(actor)
		actor = actor[:len(actor)-n]
	}
	return context.WithValue(ctx, actorKey{}, actor)
}

// audited makes an entry about what is being done now.
func (s *Store) audited(ctx context.Context, action, target, detail string) Audit {
	actor, ok := ctx.Value(actorKey{}).(string)
	if !ok {
		actor = "weir"
	}
	return Audit{ID: randomID(), At: s.now(), Actor: actor, Action: action, Target: target, Detail: detail}
}

// Note stores that somebody did something to a target that the Store has no part in:
// AuditPanicOn or AuditPanicOff. Another action, or what is no plain text, is refused with
// a *RefusedError.
func (s *Store) Note(ctx context.Context, action, target, detail string) error {
	if action != AuditPanicOn && action != AuditPanicOff {
		return refuse(RefusedAction, "the audit log is not told of %q: of %s and %s", action, AuditPanicOn, AuditPanicOff)
	}
	if err := cmp.Or(checkReason(target), checkReason(detail)); err != nil {
		return err
	}
	if err := s.record(ctx, s.audited(ctx, action, target, detail)); err != nil {
		return fmt.Errorf("note %s of %s: %w", action, target, err)
	}
	return nil
}

// record stores an entry by itself, for what is done in parts: before the first of
// them, so that nothing is done that nobody can read about. writing is free.
func (s *Store) record(ctx context.Context, a Audit) error {
	if err := s.beginWriting(ctx); err != nil {
		return err
	}
	defer s.endWriting()
	return s.write(ctx, batch{audit: []Audit{a}})
}

// AuditPage is a part of the audit log.
type AuditPage struct {
	Entries []Audit // newest first
	Next    string  // cursor of the next page; empty: this is the last
}

// Audit returns up to limit (1 to MaxLimit) entries of the audit log, from a cursor
// on that a page before returned, or the newest ones. What makes no sense is refused
// with a *RefusedError.
func (s *Store) Audit(ctx context.Context, cursor string, limit int) (AuditPage, error) {
	f, err := s.filterOf(&Query{Cursor: cursor, Limit: limit})
	if err != nil {
		return AuditPage{}, err
	}
	list, err := s.storage.audit(ctx, f.after, f.limit)
	if err != nil || len(list) <= limit {
		return AuditPage{Entries: list}, err
	}
	list = list[:limit]
	return AuditPage{list, list[limit-1].position().cursor()}, nil
}
