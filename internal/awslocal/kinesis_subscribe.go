package awslocal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream/eventstreamapi"
)

type subscribeInput struct {
	consumerRef
	ShardId          string
	StartingPosition startingPosition
	DryRun           bool
}

// heartbeat is how long a subscription stays silent when no record comes. An
// event without records carries the reader's place forward.
const heartbeat = time.Second

func (k *Kinesis) serveSubscribeToShard(w http.ResponseWriter, r *http.Request, body []byte) {
	var in subscribeInput
	if err := decode(body, &in); err != nil {
		writeError(w, err)
		return
	}
	noteResource(w, in.name())
	ctx, end := context.WithCancelCause(r.Context())
	defer end(nil)
	push, err := k.subscribe(&in, end)
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
	w.WriteHeader(http.StatusOK)
	push.w, push.flush = w, http.NewResponseController(w)
	push.run(ctx, k.cfg)
}

// subscribe checks a request and makes it the shard's subscription.
func (k *Kinesis) subscribe(in *subscribeInput, end context.CancelCauseFunc) (*pusher, error) {
	s, c, err := k.findConsumer(&in.consumerRef)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	sh, err := s.shard(in.ShardId)
	if err != nil {
		return nil, err
	}
	now := k.now()
	n, err := sh.position(in.StartingPosition, now)
	if err != nil {
		return nil, err
	}
	if err := c.subscribe(sh, now, end); err != nil {
		return nil, err
	}
	return &pusher{
		shard: sh, next: n, now: k.now, limited: s.limited,
		out: newAllowance(getBytesPerSecond), encoder: eventstream.NewEncoder(),
	}, nil
}

// pusher writes one subscription's events. It is owned by its request's
// goroutine.
type pusher struct {
	shard   *shard
	next    uint64 // number of the next record
	now     func() time.Time
	limited bool
	out     allowance // each subscription has a shard's 2 MB a second for itself

	w       http.ResponseWriter
	flush   *http.ResponseController
	encoder *eventstream.Encoder
}

// run pushes until the subscription's time is over, the shard has ended, or
// the client or the consumer is gone.
func (p *pusher) run(ctx context.Context, cfg KinesisConfig) {
	over := time.NewTimer(cfg.SubscriptionLife)
	defer over.Stop()
	tick := time.NewTicker(cfg.PushEvery)
	defer tick.Stop()
	if p.event("initial-response", []byte("{}")) != nil {
		return
	}
	ready := make(chan time.Time) // what there is to push goes out without a wait
	close(ready)
	var silent time.Time // when the latest event went out; zero: say where the reader stands
	for {
		next := tick.C
		if now := p.now(); !p.limited || p.out.clear(now.UnixNano()) {
			page, _ := p.shard.read(nil, p.next, now, readOptions{records: maxPageRecords, bytes: maxEventBytes})
			if page.records > 0 || page.end || now.Sub(silent) >= heartbeat {
				if p.page(page) != nil || page.end {
					return
				}
				silent = now
			}
			if page.behind > 0 {
				next = ready
			}
		}
		select {
		case <-next:
		case <-over.C:
			return
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errTakenOver) {
				p.exception("ResourceInUseException", errTakenOver.Error())
			}
			return
		}
	}
}

// page pushes one SubscribeToShardEvent.
func (p *pusher) page(page shardPage) error {
	head := append(make([]byte, 0, 128), `{"MillisBehindLatest":`...)
	head = strconv.AppendInt(head, page.behind, 10)
	if !page.end {
		head = append(head, `,"ContinuationSequenceNumber":"`...)
		head = page.seen.append(head)
		head = append(head, '"')
	}
	p.next = page.next
	p.out.spend(page.bytes)
	return p.event("SubscribeToShardEvent", bytes.Join(page.json(head), nil))
}

func (p *pusher) event(kind string, payload []byte) error {
	return p.send(payload,
		eventstreamapi.MessageTypeHeader, eventstreamapi.EventMessageType,
		eventstreamapi.EventTypeHeader, kind)
}

// exception ends the stream with an error of the action's model.
func (p *pusher) exception(code, message string) {
	payload, err := json.Marshal(map[string]string{"message": message})
	if err != nil {
		panic("BUG: a message is not JSON: " + err.Error())
	}
	_ = p.send(payload, // the stream ends, whether it got through or not
		eventstreamapi.MessageTypeHeader, eventstreamapi.ExceptionMessageType,
		eventstreamapi.ExceptionTypeHeader, code)
}

// send writes one message with the given headers (name, value, ...).
func (p *pusher) send(payload []byte, headers ...string) error {
	m := eventstream.Message{Payload: payload}
	for i := 0; i < len(headers); i += 2 {
		m.Headers.Set(headers[i], eventstream.StringValue(headers[i+1]))
	}
	m.Headers.Set(eventstreamapi.ContentTypeHeader, eventstream.StringValue("application/x-amz-json-1.1"))
	if err := p.encoder.Encode(p.w, m); err != nil {
		return err
	}
	return p.flush.Flush()
}
