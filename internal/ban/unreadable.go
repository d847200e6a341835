package ban

import (
	"sync"
	"sync/atomic"

	"go.uber.org/zap"
)

// maxUnreadable is how many places an unreadable tells of by name: who has more finds the
// others in the same way.
const maxUnreadable = 100

// unreadable is told of what is stored and cannot be read. It is left out, so that it
// keeps nobody from all the rest.
type unreadable struct {
	log  *zap.Logger
	left atomic.Int64 // how often something was left out

	mu   sync.Mutex
	told map[string]bool // places; at most maxUnreadable
}

// note counts that something was left out, and logs it once for each place.
func (u *unreadable) note(place string, err error) {
	u.left.Add(1)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.told[place] || len(u.told) == maxUnreadable {
		return
	}
	if u.told == nil {
		u.told = make(map[string]bool)
	}
	u.told[place] = true
	fields := []zap.Field{zap.String("where", place), zap.Error(err)}
	if len(u.told) == maxUnreadable {
		fields = append(fields, zap.String("more", "is counted only, in weir_ban_unreadable_total"))
	}
	u.log.Error("what is stored cannot be read and is left out; delete it if it was not written by a newer Weir", fields...)
}
