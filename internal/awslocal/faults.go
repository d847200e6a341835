package awslocal

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// The stand-ins' names, as in SigV4 scopes, fault scripts and the call log.
const (
	serviceKinesis  = "kinesis"
	serviceDynamoDB = "dynamodb"
	serviceWAF      = "wafv2"
	serviceSTS      = "sts"
	serviceS3       = "s3"
)

// FaultKind is what goes wrong.
type FaultKind string

// The kinds of fault. "After" ones carry the call out first, and so leave the
// client not knowing; a late one does so in the end. All others leave the state
// as it was.
const (
	FaultThrottle   FaultKind = "throttle"    // the service's own throttling error
	FaultError      FaultKind = "error"       // the service's 500, or Code with Status
	FaultErrorAfter FaultKind = "error-after" // the same, after the call was carried out
	FaultDelay      FaultKind = "delay"       // nothing but Delay
	FaultReset      FaultKind = "reset"       // the connection breaks before the call is carried out
	FaultResetAfter FaultKind = "reset-after" // the connection breaks instead of an answer
	FaultHang       FaultKind = "hang"        // no answer until the client gives up
	FaultHangAfter  FaultKind = "hang-after"  // the same, after the call was carried out
	FaultLate       FaultKind = "late"        // the same, and the call is carried out Delay after it came, client or not
)

// FaultKinds returns every kind.
func FaultKinds() []FaultKind {
	return []FaultKind{
		FaultThrottle, FaultError, FaultErrorAfter, FaultDelay, FaultReset, FaultResetAfter,
		FaultHang, FaultHangAfter, FaultLate,
	}
}

// Fault is one rule of a fault script: which calls it strikes, and how. A call
// is struck by the first rule that fits it, and delayed by every FaultDelay
// rule before that one.
type Fault struct {
	Service string // "kinesis", "dynamodb", "wafv2", "sts" or "s3"; "" = any
	Action  string // "UpdateIPSet"; "" = any

	// Of the calls with that service and action inside the window, counted
	// from 1 by each rule for itself:
	Nth         int     // only the Nth; 0 = each
	Times       int     // stop after so many strikes; 0 = never
	Probability float64 // strike by chance; 0 = always

	// The window, on the server's clock, from the server's start or, for a
	// rule added later, from its addition.
	After time.Duration
	For   time.Duration // 0 = for ever

	Do      FaultKind
	Delay   time.Duration // real time (or a synctest bubble's) to wait first, with any kind; of FaultLate, until it is carried out
	Code    string        // error code instead of the service's own; for error kinds
	Status  int           // its HTTP status; 0 = 400 with a Code, else 500
	Message string        // its message; "" = a fitting one
}

// Faults is a fault script: rules that spoil calls on purpose. Whether a rule
// strikes depends on the script's seed, the rule's place and the count of the
// calls that fit it, so that a run with the same calls has the same faults.
// It may be used by any number of goroutines.
type Faults struct {
	seed uint64

	mu    sync.Mutex
	now   func() time.Time // nil until a server starts the script
	rules []*faultRule     // never shrinks: a rule's index is part of its dice
}

type faultRule struct {
	Fault
	start   time.Time // of the window
	met     int       // calls that fitted, inside the window
	struck  int
	dropped bool
}

// NewFaults makes a script. The seed rules the dice of Probability.
func NewFaults(seed uint64, rules ...Fault) *Faults {
	f := &Faults{seed: seed}
	f.Add(rules...)
	return f
}

// Add appends rules. On a running server their windows begin now.
func (f *Faults) Add(rules ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range rules {
		if !slices.Contains(FaultKinds(), r.Do) {
			panic("BUG: no such fault: " + string(r.Do))
		}
		added := &faultRule{Fault: r}
		if f.now != nil {
			added.start = f.now()
		}
		f.rules = append(f.rules, added)
	}
}

// Clear drops every rule.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		r.dropped = true
	}
}

// Strikes returns how many calls each rule has struck, in the order they were
// added. A rule that should have struck and shows 0 is misspelt.
func (f *Faults) Strikes() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]int, len(f.rules))
	for i, r := range f.rules {
		out[i] = r.struck
	}
	return out
}

// start opens the windows of the rules that are there.
func (f *Faults) start(now func() time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now != nil {
		panic("BUG: a fault script serves one server")
	}
	f.now = now
	for _, r := range f.rules {
		r.start = now()
	}
}

// strike decides about one call: how long to wait, and what then (nil: nothing).
func (f *Faults) strike(service, action string) (wait time.Duration, what *Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.rules) == 0 {
		return 0, nil
	}
	now := f.now()
	for i, r := range f.rules {
		if !r.fits(service, action, now) || !r.roll(f.seed, i) {
			continue
		}
		if r.Do != FaultLate {
			wait += r.Delay
		}
		if r.Do != FaultDelay {
			return wait, &r.Fault
		}
	}
	return wait, nil
}

func (r *faultRule) fits(service, action string, now time.Time) bool {
	since := now.Sub(r.start)
	return !r.dropped &&
		(r.Service == "" || r.Service == service) &&
		(r.Action == "" || r.Action == action) &&
		since >= r.After && (r.For == 0 || since < r.After+r.For)
}

// roll counts a call that fits and tells whether it is struck.
func (r *faultRule) roll(seed uint64, index int) bool {
	r.met++
	if r.Nth != 0 && r.met != r.Nth || r.Times != 0 && r.struck >= r.Times {
		return false
	}
	if r.Probability != 0 {
		// A generator for each throw: no other rule's calls can shift this one's dice.
		dice := rand.New(rand.NewPCG(seed, uint64(index)<<40|uint64(r.met)))
		if dice.Float64() >= r.Probability {
			return false
		}
	}
	r.struck++
	return true
}

// serve has the call carried out, or not, as the script wants it.
func (f *Faults) serve(x *exchange, r *http.Request, rt *route, action string, body []byte) {
	wait, fault := f.strike(rt.name, action)
	if wait > 0 {
		x.call.Fault = FaultDelay
		if !sleep(r, wait) {
			panic(http.ErrAbortHandler)
		}
	}
	if fault == nil {
		rt.serve(x, r, action, body)
		return
	}
	x.call.Fault = fault.Do
	switch fault.Do {
	case FaultErrorAfter, FaultResetAfter, FaultHangAfter:
		client := x.ResponseWriter
		x.ResponseWriter = void{}
		rt.serve(x, r, action, body)
		x.ResponseWriter, x.call.Status, x.call.Code = client, 0, ""
	case FaultLate:
		if !rt.service.admit(x, r, action) {
			return
		}
		unheard := r.WithContext(context.WithoutCancel(r.Context()))
		time.AfterFunc(fault.Delay, func() { rt.service.carryOut(void{}, unheard, action, body) })
	}
	switch fault.Do {
	case FaultHang, FaultHangAfter, FaultLate:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case FaultReset, FaultResetAfter:
		panic(http.ErrAbortHandler)
	}
	writeError(x, fault.err(rt.name, action))
}

// sleep waits in real time and tells whether the client is still there.
func sleep(r *http.Request, wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// err is the fault's answer in the service's own words.
func (f *Fault) err(service, action string) *apiError {
	e := internalError(service)
	switch {
	case f.Do == FaultThrottle:
		e = throttled(service, action)
	case f.Code != "":
		e = fail(http.StatusBadRequest, f.Code, "the fault script says so")
	}
	if f.Status != 0 {
		e.status = f.Status
	}
	if f.Message != "" {
		e.message = f.Message
	}
	return e
}

// internalError is what each service calls its own trouble.
func internalError(service string) *apiError {
	code := "InternalFailure"
	switch service {
	case serviceDynamoDB:
		code = "InternalServerError"
	case serviceWAF:
		code = "WAFInternalErrorException"
	case serviceS3:
		code = "InternalError"
	}
	return fail(http.StatusInternalServerError, code, "the stand-in was told to answer this")
}

// throttled is how each service says "too fast". WAFv2's error is not in its
// model, which is why a client has to know it by its code.
func throttled(service, action string) *apiError {
	if service == serviceS3 {
		return fail(http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
	}
	code, message := "ThrottlingException", "Rate exceeded"
	switch service {
	case serviceKinesis:
		code, message = "LimitExceededException", "rate exceeded for this action"
		switch action {
		case "GetRecords", "GetShardIterator", "PutRecord", "PutRecords":
			code, message = "ProvisionedThroughputExceededException", "rate exceeded for this shard"
		}
	case serviceDynamoDB:
		switch action {
		case "GetItem", "PutItem", "UpdateItem", "DeleteItem", "Scan", "Query", "BatchWriteItem":
			code, message = "ProvisionedThroughputExceededException", "the table's throughput was exceeded"
		}
	}
	return fail(http.StatusBadRequest, code, "%s", message)
}

// void takes an answer that nobody is to see.
type void struct{}

func (void) Header() http.Header         { return make(http.Header) }
func (void) WriteHeader(int)             {}
func (void) Write(p []byte) (int, error) { return 0, http.ErrAbortHandler }
