package waf

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
)

var (
	errDiskFull = errors.New("disk full")
	errKilled   = errors.New("killed")
)

// moments are a share of time, of one nanosecond in every so many, that nobody else has:
// what is due at one moment happens in any order, and a day is to be repeated.
type moments int64

const grid = 10_000 // shares: more than the Writers of a day need

// share gives the next share: who is before whom depends on the seed. 0 is the day's own.
func (a *simAccount) share() moments {
	a.shares++
	odd := mix64(a.seed)%(grid/10)*10 + 1 // which has no divisor in common with grid
	return moments(a.shares * odd % grid)
}

// after gives the first moment of them that is not before t.
func (p moments) after(t time.Time) time.Time {
	return t.Add(time.Duration((int64(p) - t.UnixNano()%grid + grid) % grid))
}

// simProcess is a process with a Writer for each target, and one budget.
type simProcess struct {
	t       *testing.T
	book    *tokenBook
	account *simAccount
	epoch   uint64
	writers []*running
	stops   []func()

	mu      sync.Mutex
	dying   bool          // a crash is due at the next call
	dead    bool          // nothing it does has an effect any more
	stopped chan struct{} // SIGSTOP; closed by SIGCONT; nil = it runs
	sent    []time.Time   // UpdateIPSet calls
	errs    []error       // of Run, once done is closed
}

// start starts a process that leads with an epoch.
func (a *simAccount) start(l *ledger, epoch uint64) *simProcess {
	a.t.Helper()
	p := &simProcess{t: a.t, account: a, book: a.book, epoch: epoch}
	budget := NewBudgets()
	for i, target := range a.targets {
		cfg, stop := l.config(a.share())
		link := &simLink{process: p, own: a.share(), rng: rand.New(rand.NewPCG(a.seed, 1000*uint64(i+1)+epoch)), client: a.client(), known: make(map[string]map[netip.Prefix]bool)}
		cfg.Client = link
		cfg.Scope, cfg.Sets, cfg.Target, cfg.Budget = target.scope, []string{target.prefix}, target.prefix, budget
		cfg.WritesPerSecond, cfg.Grace, cfg.DriftPeriod, cfg.Capacity = a.rate, a.grace, a.period, a.capacity
		cfg.Epoch = func() uint64 { return epoch }
		w, err := New(cfg)
		if err != nil {
			a.t.Fatal(err)
		}
		w.wakes = a.share().after
		ctx, cancel := context.WithCancel(context.Background())
		r := &running{w, cancel, make(chan struct{})}
		p.writers, p.stops, p.errs = append(p.writers, r), append(p.stops, stop), append(p.errs, nil)
		go func() {
			defer close(r.done)
			time.Sleep(time.Until(w.wakes(time.Now())))
			p.errs[i] = w.Run(ctx)
		}()
	}
	a.processes = append(a.processes, p)
	return p
}

// kill ends the process here and now: its calls under way may still land.
func (p *simProcess) kill() {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	for i, w := range p.writers {
		w.kill()
		p.stops[i]()
	}
}

// halt kills it and waits for what of it is left.
func (p *simProcess) halt() {
	p.kill()
	p.resume()
	for _, w := range p.writers {
		<-w.done
	}
}

func (p *simProcess) suspend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped == nil {
		p.stopped = make(chan struct{})
	}
}

func (p *simProcess) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped != nil {
		close(p.stopped)
		p.stopped = nil
	}
}

// ready reports whether every Writer says that all is well.
func (p *simProcess) ready() error {
	for _, w := range p.writers {
		if err := w.Ready(); err != nil {
			return err
		}
	}
	return nil
}

// full reports whether some target has no room for all bans of p's kind.
func (p *simProcess) full(prefix netip.Prefix) bool {
	for _, w := range p.writers {
		st := w.Status()
		if pool := st.Pool("block", familyOf(prefix).String()); pool.Evicted > 0 {
			return true
		}
	}
	return false
}

// deposed reports whether every Writer has ended because a later leader writes.
func (p *simProcess) deposed() bool {
	for i, w := range p.writers {
		select {
		case <-w.done:
			if !errors.Is(p.errs[i], ErrDeposed) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// simLink is a Writer's way to the stand-in: calls take time, and the process may
// be stopped or die before and after each. It notes what the Writer saw of each
// lock token.
type simLink struct {
	process *simProcess
	own     moments
	rng     *rand.Rand
	client  *wafv2.Client
	known   map[string]map[netip.Prefix]bool // what it last saw in each set, or put there
}

// pause takes a while, and as long as the process is stopped. cut: the deadline
// passed meanwhile.
func (l *simLink) pause(ctx context.Context) (cut error) {
	p := l.process
	fence.Add(1)
	at := time.Now().Add(5*time.Millisecond + time.Duration(l.rng.IntN(90_000_000))) // hardly ever the same twice
	select {
	case <-time.After(time.Until(l.own.after(at))):
	case <-ctx.Done():
		return ctx.Err()
	}
	p.mu.Lock()
	stopped := p.stopped
	p.mu.Unlock()
	if stopped != nil {
		<-stopped
		time.Sleep(time.Until(l.own.after(time.Now())))
	}
	return ctx.Err()
}

// strikes reports whether the crash that is due happens now, and makes it happen.
func (l *simLink) strikes(update, before bool) bool {
	p := l.process
	p.mu.Lock()
	if p.dead {
		p.mu.Unlock()
		return true
	}
	now := p.dying && (update || l.rng.IntN(4) == 0) && (!before || l.rng.IntN(2) == 0)
	p.mu.Unlock()
	if now {
		p.kill()
	}
	return now
}

// simCall makes one call: the request goes out when the process is stopped in the
// middle of sending it, late as it may be by then, and a crash comes before or after.
func simCall[Out any](ctx context.Context, l *simLink, update bool, do func(context.Context) (*Out, error)) (*Out, error) {
	if l.strikes(update, true) {
		return nil, errKilled
	}
	if cut := l.pause(ctx); cut != nil && !update {
		return nil, cut
	}
	send := ctx
	if update && ctx.Err() != nil {
		var cancel context.CancelFunc
		send, cancel = context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
	}
	out, err := do(send)
	if l.strikes(update, false) {
		return nil, errKilled
	}
	if cut := l.pause(ctx); cut != nil {
		return nil, cut
	}
	return out, err
}

// ListIPSets lists sets.
func (l *simLink) ListIPSets(ctx context.Context, in *wafv2.ListIPSetsInput, _ ...func(*wafv2.Options)) (*wafv2.ListIPSetsOutput, error) {
	began := l.process.book.now()
	out, err := simCall(ctx, l, false, func(ctx context.Context) (*wafv2.ListIPSetsOutput, error) { return l.client.ListIPSets(ctx, in) })
	if err == nil {
		for _, s := range out.IPSets {
			l.process.book.listed(aws.ToString(s.Name), began, s)
		}
	}
	return out, err
}

// GetIPSet reads a set.
func (l *simLink) GetIPSet(ctx context.Context, in *wafv2.GetIPSetInput, _ ...func(*wafv2.Options)) (*wafv2.GetIPSetOutput, error) {
	began := l.process.book.now()
	out, err := simCall(ctx, l, false, func(ctx context.Context) (*wafv2.GetIPSetOutput, error) { return l.client.GetIPSet(ctx, in) })
	if err == nil {
		name := aws.ToString(in.Name)
		l.process.book.got(name, began, out)
		l.process.account.got(name, out, l.known[name])
		l.knows(name, out.IPSet.Addresses)
	}
	return out, err
}

// UpdateIPSet writes a set.
func (l *simLink) UpdateIPSet(ctx context.Context, in *wafv2.UpdateIPSetInput, _ ...func(*wafv2.Options)) (*wafv2.UpdateIPSetOutput, error) {
	p := l.process
	p.mu.Lock()
	if !p.dead {
		p.sent = append(p.sent, time.Now())
	}
	p.mu.Unlock()
	p.account.begins(aws.ToString(in.Name), aws.ToString(in.Description))
	began := p.book.now()
	out, err := simCall(ctx, l, true, func(ctx context.Context) (*wafv2.UpdateIPSetOutput, error) { return l.client.UpdateIPSet(ctx, in) })
	p.book.updated(aws.ToString(in.Name), began, in, out, err)
	if err == nil {
		l.knows(aws.ToString(in.Name), in.Addresses)
	}
	return out, err
}

func (l *simLink) knows(set string, addresses []string) {
	l.known[set] = make(map[netip.Prefix]bool, len(addresses))
	for _, a := range addresses {
		l.known[set][netip.MustParsePrefix(a)] = true
	}
}
