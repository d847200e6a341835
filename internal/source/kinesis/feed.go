package kinesis

import (
	"strconv"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// feed carries a shard's batches past KCL, from where they are read to where
// they are handled. KCL gets a ticket in their place, an empty record.
//
// KCL would look into every record for the format of another producer library,
// and drop a whole batch (and checkpoint past it) when one record has that
// format's mark and is broken otherwise: log lines are written by whoever sends
// requests. It would also count bytes and sleep for whole seconds. And it would
// be a tenth of the cost of reading.
type feed struct {
	mu      sync.Mutex
	last    int
	waiting map[string][]types.Record // by ticket
}

// put takes a batch and returns its ticket: no record for no records.
func (f *feed) put(batch []types.Record) []types.Record {
	if len(batch) == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	ticket := strconv.Itoa(f.last)
	if f.waiting == nil {
		f.waiting = make(map[string][]types.Record)
	}
	f.waiting[ticket] = batch
	return []types.Record{{SequenceNumber: &ticket}}
}

// take returns the batch that a ticket stands for.
func (f *feed) take(ticket types.Record) []types.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := aws.ToString(ticket.SequenceNumber)
	batch, ok := f.waiting[key]
	if !ok {
		panic("BUG: ticket " + key + " was handed in twice")
	}
	delete(f.waiting, key)
	return batch
}

// clear forgets batches whose tickets got lost, with the subscription that
// they came from.
func (f *feed) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.waiting)
}
