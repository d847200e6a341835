package rekey

import (
	"context"
	"fmt"

	"weir/internal/cloudfront"
	"weir/internal/detect"
)

// An Ingest sends on what scenarios match of the records of one stream. Any number of goroutines
// may use it at once.
type Ingest struct {
	name   string
	front  *detect.Front
	sender *Sender
}

// NewIngest makes an Ingest of the stream with a name. Of each of its shards batches are sent
// one after the other, in their order.
func NewIngest(name string, front *detect.Front, sender *Sender) *Ingest {
	return &Ingest{name: name, front: front, sender: sender}
}

// A Load is what is sent on of one batch of a shard. It belongs to one goroutine.
type Load struct {
	ingest    *Ingest
	source    string
	positions []Position // of the batch's records
	parcel    *Parcel
	receipts  []detect.Receipt
}

// Load begins to send on the records of a batch of a shard, which have these sequence numbers.
func (g *Ingest) Load(shard string, sequences []string) (*Load, error) {
	l := &Load{ingest: g, source: g.name + "/" + shard, positions: make([]Position, len(sequences)), parcel: g.sender.NewParcel()}
	for i, s := range sequences {
		var err error
		if l.positions[i], err = ParsePosition(s, 0); err != nil {
			return nil, fmt.Errorf("send on records of shard %s: %w", shard, err)
		}
	}
	return l, nil
}

// Add takes records; origin tells of which record of the batch each is a line, and which. It
// keeps nothing of them. The error is that of ctx.
func (l *Load) Add(ctx context.Context, records []cloudfront.Record, origin func(i int) (record, line int)) (err error) {
	l.ingest.front.Match(records, func(i int, m *detect.Match, partition int) {
		if err != nil {
			return
		}
		record, line := origin(i)
		if err = l.parcel.Add(ctx, l.source, l.positions[record].At(uint32(line)), m, partition); err != nil {
			return
		}
		if r, ok := m.Receipt(); ok {
			l.receipts = append(l.receipts, r)
		}
	})
	return err
}

// Wait waits until all that was added is in the stream. The error is that of ctx.
func (l *Load) Wait(ctx context.Context) error {
	if err := l.parcel.Wait(ctx); err != nil {
		return err
	}
	for _, r := range l.receipts {
		l.ingest.front.Sent(r)
	}
	return nil
}
