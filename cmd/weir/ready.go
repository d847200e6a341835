package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"weir/internal/ban"
	"weir/internal/source/kinesis"
	"weir/internal/waf"
)

// stuck tells what nothing but a restart cures, with all goroutines: they show who
// waits for whom.
func (s *service) stuck(err error) {
	const most = 1 << 18 // bytes of a log line
	var stacks bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1) // into memory: it does not fail
	s.log.Error("stuck, and /healthz says so until a restart", zap.Error(err), zap.ByteString("goroutines", stacks.Bytes()[:min(most, stacks.Len())]))
}

// notReady says everything that keeps the service from doing its work.
func (s *service) notReady() []string {
	var why []string
	is := s.lease.Status()
	leads := s.leading.Load()
	st := s.source.Status()
	switch {
	case !s.reading.Load():
		why = append(why, "stream: not being read")
	case st.Err != nil:
		why = append(why, "stream: "+st.Err.Error())
	case st.Looked.IsZero():
		why = append(why, "stream: its shards have not been listed yet")
	case !leads && len(st.Shards) == 0:
		why = append(why, "stream: standing by, its shards are read by another worker or about to be taken")
	case st.Unowned > 0:
		why = append(why, fmt.Sprintf("stream: %d of its shards read by nobody", st.Unowned))
	}
	if trouble := waiting(st.Shards); trouble != "" {
		why = append(why, "state: "+trouble)
	}
	if trouble := unread(st.Shards); trouble != "" {
		why = append(why, "stream: "+trouble)
	}
	switch {
	case is.Err != nil && leads:
		why = append(why, fmt.Sprintf("leader: the lease was last renewed at %s: %v", is.Confirmed.UTC().Format(time.RFC3339), is.Err))
	case is.Err != nil:
		why = append(why, "leader: "+is.Err.Error())
	case !leads && is.Holder == "" && len(st.Shards) > 0:
		why = append(why, "leader: nobody writes the IP sets, the lease is about to be taken")
	}
	if s.keeper != nil {
		why = append(why, s.keeper.trouble()...)
	}
	if d := s.duty.Load(); d != nil {
		for _, err := range d.notReady() {
			if err != nil {
				why = append(why, "stream: "+err.Error())
			}
		}
	}
	if err := s.store.Ready(); err != nil {
		why = append(why, "decisions: "+err.Error())
	}
	for _, t := range s.targets {
		err := t.writer.Ready()
		if err == nil {
			err = s.unlisted(t)
		}
		if err != nil && leads {
			why = append(why, t.title()+": "+err.Error())
		}
	}
	return why
}

// unlisted says that t is to enforce imported lists and has no IP set for them; nil: it
// has, or no list is configured or for it. Its writer is ready.
func (s *service) unlisted(t *target) error {
	st := t.writer.Status()
	if len(s.cfg.Ban.Lists) == 0 || !t.takes(&ban.Decision{Action: ban.Block, Origin: ban.OriginList}) || hasListSets(&st, t.Fallback) {
		return nil
	}
	return errors.New("WEIR_BAN_LISTS names lists, and no IP set is for their entries, so none is enforced: weir bootstrap -sets list=1/1 makes sets, beside those that are there")
}

// hasListSets reports whether there are IP sets that entries of imported lists go
// into: those for lists, or else those for lists of the fallback action.
func hasListSets(st *waf.Status, fallback string) bool {
	return slices.ContainsFunc(st.Pools, func(p waf.PoolStatus) bool {
		return p.List && p.Sets > 0 && (p.Action == string(ban.Block) || p.Action == fallback)
	})
}

// warnUnlisted logs once what unlisted says, when the IP sets of t are known.
func (s *service) warnUnlisted(ctx context.Context, t *target) {
	const every = 5 * time.Second
	for t.writer.Ready() != nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
	}
	if err := s.unlisted(t); err != nil {
		s.log.Warn("imported lists are not enforced", zap.String("target", t.Name), zap.Error(err))
	}
}

// waiting says how many shards are not read, as the state that is kept cannot be.
func waiting(shards []kinesis.ShardStatus) string {
	n, why := 0, ""
	for _, sh := range shards {
		if sh.Waits != "" {
			why = sh.Waits
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d shards held are not read, nothing is detected of them: what WEIR_STATE_SNAPSHOT has kept cannot be read: %s", n, len(shards), why)
}

// unread says of how many shards reads fail again and again, and by what.
func unread(shards []kinesis.ShardStatus) string {
	kinds, n, refused := map[string]bool{}, 0, ""
	for _, sh := range shards {
		if sh.Trouble != "" {
			kinds[sh.Trouble] = true
			n++
			if sh.Refused != "" {
				refused = sh.Refused
			}
		}
	}
	if n == 0 {
		return ""
	}
	text := fmt.Sprintf("reading %d of %d shards held fails: %s", n, len(shards), strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	if refused != "" {
		text += fmt.Sprintf("; Kinesis refuses %s: if that is of no use any more, stop the service and remove the snapshots of this stream and the shards' rows of the lease table", refused)
	}
	return text
}
