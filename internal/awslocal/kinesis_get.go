package awslocal

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

type getShardIteratorInput struct {
	streamRef
	ShardId                string
	ShardIteratorType      string
	StartingSequenceNumber string
	Timestamp              *epochSeconds
	StreamId               string
	DryRun                 bool
}

func (k *Kinesis) getShardIterator(in *getShardIteratorInput) (any, error) {
	s, err := k.find(in.streamRef)
	if err != nil {
		return nil, err
	}
	sh, err := s.shard(in.ShardId)
	if err != nil {
		return nil, err
	}
	now := k.now()
	if !sh.allowIterator(now) {
		return nil, throughputExceeded(k.rateExceeded(sh))
	}
	n, err := sh.position(startingPosition{in.ShardIteratorType, in.StartingSequenceNumber, in.Timestamp}, now)
	if err != nil {
		return nil, err
	}
	return struct{ ShardIterator string }{s.iterator(sh, n, now)}, nil
}

// allowIterator counts a GetShardIterator against the shard's limit.
func (s *shard) allowIterator(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stream.limited {
		return true
	}
	if !s.iterators.covers(now.UnixNano(), 1) {
		s.stats.refusedReads++
		return false
	}
	s.iterators.take(1)
	return true
}

// startingPosition is where a reader of a shard wants to begin.
type startingPosition struct {
	Type           string
	SequenceNumber string
	Timestamp      *epochSeconds
}

// position returns the number of the record to begin with.
func (s *shard) position(at startingPosition, now time.Time) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.trim(millis(now) - s.stream.retention.Load())
	switch at.Type {
	case "TRIM_HORIZON":
		return s.log.first, nil
	case "LATEST":
		return s.log.next, nil
	case "AT_TIMESTAMP":
		switch {
		case at.Timestamp == nil:
			return 0, invalidArgument("AT_TIMESTAMP needs a timestamp")
		case at.Timestamp.millis() > millis(now):
			return 0, invalidArgument("timestamp %d is later than now, %d", at.Timestamp.millis(), millis(now))
		}
		return s.log.search(at.Timestamp.millis()), nil
	case "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER":
		// Only the number counts: numbers of records are never used twice in a
		// shard, and what tells where a reader stood may lie between records.
		q, ok := parseSequence(at.SequenceNumber)
		if !ok || q.shard != s.index || q.n >= s.log.next && (s.closedAt == 0 || q.n > s.log.next) {
			return 0, invalidNumber(at.SequenceNumber, "sequence number %.60q is not of %s of stream %s", at.SequenceNumber, s.id, s.stream.name)
		}
		if at.Type == "AFTER_SEQUENCE_NUMBER" {
			q.n++
		}
		return min(max(q.n, s.log.first), s.log.next), nil
	}
	return 0, invalidShape("%.40q is no type of iterator", at.Type)
}

func (s *stream) iterator(sh *shard, n uint64, now time.Time) string {
	return kinesisCursor{
		kind: cursorIterator, issued: millis(now), streamID: s.id, shard: sh.index, n: n, stream: s.name,
	}.text()
}

type getRecordsInput struct {
	ShardIterator string
	Limit         *int
	StreamARN     string
	StreamId      string
	DryRun        bool
}

func (k *Kinesis) serveGetRecords(w http.ResponseWriter, _ *http.Request, body []byte) {
	var in getRecordsInput
	err := decode(body, &in)
	if err != nil {
		writeError(w, err)
		return
	}
	now := k.now()
	s, sh, n, err := k.openIterator(w, &in, now)
	if err != nil {
		writeError(w, err)
		return
	}
	opt := readOptions{records: maxPageRecords, bytes: maxPageBytes, limited: s.limited, emptyEvery: k.cfg.EmptyEvery}
	if in.Limit != nil {
		opt.records = *in.Limit
	}
	p, ok := sh.read(nil, n, now, opt)
	if !ok {
		writeError(w, throughputExceeded(k.rateExceeded(sh)))
		return
	}
	head := append(make([]byte, 0, 256), `{"MillisBehindLatest":`...)
	head = strconv.AppendInt(head, p.behind, 10)
	head = append(head, `,"NextShardIterator":`...)
	if p.end {
		head = append(head, "null"...)
	} else {
		head = append(head, '"')
		head = append(head, s.iterator(sh, p.next, now)...)
		head = append(head, '"')
	}
	writeParts(w, p.json(head)...)
}

// openIterator finds what an iterator points at.
func (k *Kinesis) openIterator(w http.ResponseWriter, in *getRecordsInput, now time.Time) (*stream, *shard, uint64, error) {
	c, ok := parseCursor(cursorIterator, in.ShardIterator)
	switch {
	case !ok:
		return nil, nil, 0, invalidArgument("invalid shard iterator")
	case in.Limit != nil && (*in.Limit < 1 || *in.Limit > maxPageRecords):
		return nil, nil, 0, invalidShape("a limit is between 1 and %d, this one %d", maxPageRecords, *in.Limit)
	}
	s, err := k.open(w, streamRef{StreamName: c.stream, StreamARN: in.StreamARN})
	if err != nil {
		return nil, nil, 0, err
	}
	sh := s.layout.Load().get(c.shard)
	switch {
	case s.id != c.streamID || sh == nil:
		return nil, nil, 0, notFound("the shard of the iterator, in stream %s, is gone", c.stream)
	case s.limited && c.expired(now, iteratorLife):
		return nil, nil, 0, fail(http.StatusBadRequest, "ExpiredIteratorException",
			"the iterator was made at %s, now it is %s, and it was good for %s",
			isoTime(c.issued), isoTime(millis(now)), iteratorLife)
	}
	return s, sh, c.n, nil
}

// json completes an object that head has begun with the page's records, and
// its child shards at the end of a shard.
func (p *shardPage) json(head []byte) [][]byte {
	out := make([][]byte, 0, len(p.parts)+2)
	out = append(out, append(head, `,"Records":[`...))
	out = append(out, p.parts...)
	if n := len(p.parts); n > 0 {
		last := p.parts[n-1]
		out[n] = last[:len(last)-1] // no comma after the last record
	}
	tail := []byte("]")
	if p.end {
		list, err := json.Marshal(childShards(p.children))
		if err != nil {
			panic("BUG: child shards are not JSON: " + err.Error())
		}
		tail = append(append(tail, `,"ChildShards":`...), list...)
	}
	return append(out, append(tail, '}'))
}

// writeParts answers 200 with JSON text in pieces. The pieces of a page are the
// shard's own memory, which is never copied on its way to the connection.
func writeParts(w http.ResponseWriter, parts ...[]byte) {
	length := 0
	for _, part := range parts {
		length += len(part)
	}
	w.Header().Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(http.StatusOK)
	for _, part := range parts {
		if _, err := w.Write(part); err != nil {
			return // the client is gone; there is nobody left to tell
		}
	}
}
