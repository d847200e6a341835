package awslocal

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// shard is one shard of a stream, open or closed. Each has a mutex of its own,
// so that neither producers nor readers of different shards meet.
type shard struct {
	stream    *stream
	index     uint64 // in the stream, from 0; never used twice
	id        string
	keys      hashRange
	startKey  string // keys, as text
	endKey    string
	parent    string // id; "" for a shard that the stream was made with
	adjacent  string // id of the other parent, after a merge
	createdAt int64  // Unix milliseconds

	mu       sync.Mutex
	log      shardLog
	last     int64    // Unix milliseconds of the latest record, or createdAt
	closedAt int64    // Unix milliseconds; 0 while it is open
	children []*shard // of a closed shard

	inRecords, inBytes, reads, iterators allowance
	out                                  allowance

	calls uint64 // GetRecords that were answered
	stats shardStats
}

type shardStats struct {
	records, bytes uint64 // taken in
	refused        uint64 // records that limits kept out
	refusedReads   uint64 // GetRecords and GetShardIterator that limits kept out
}

func shardID(index uint64) string { return fmt.Sprintf("shardId-%0*d", shardDigits, index) }

// parseShardID accepts what shardID makes, and the same with fewer zeros, as
// the service does.
func parseShardID(id string) (index uint64, ok bool) {
	digits, ok := strings.CutPrefix(id, "shardId-")
	if !ok || len(digits) > shardDigits {
		return 0, false
	}
	index, err := strconv.ParseUint(digits, 10, 64)
	return index, err == nil
}

// openShard makes a shard that begins at that time. The caller holds s.mu, and
// puts it into the layout.
func (s *stream) openShard(keys hashRange, at int64, parent, adjacent string) *shard {
	sh := &shard{
		stream: s, index: s.nextShard, id: shardID(s.nextShard),
		keys: keys, startKey: keys.start.String(), endKey: keys.end.String(),
		parent: parent, adjacent: adjacent, createdAt: at, last: at,
		log:       newShardLog(),
		inRecords: newAllowance(putRecordsPerSecond),
		inBytes:   newAllowance(putBytesPerSecond),
		reads:     newAllowance(getCallsPerSecond),
		iterators: newAllowance(iteratorsPerSecond),
		out:       newAllowance(getBytesPerSecond),
	}
	s.nextShard++
	return sh
}

// putEntry is a record on its way in.
type putEntry struct {
	data []byte  // canonical base64
	key  []byte  // partition key, as the inside of a JSON string
	size int     // bytes of data and key, decoded
	hash hashKey // where it belongs
}

type putOutcome uint8

const (
	putDone putOutcome = iota
	putThrottled
	putClosed // the shard was split or merged meanwhile: another one has its keys
)

// put appends a record and returns its sequence number.
func (s *shard) put(e *putEntry, now time.Time) (sequence, putOutcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closedAt != 0 {
		return sequence{}, putClosed
	}
	if s.stream.limited {
		nanos := now.UnixNano()
		if !s.inRecords.covers(nanos, 1) || !s.inBytes.covers(nanos, e.size) {
			s.stats.refused++
			return sequence{}, putThrottled
		}
		s.inRecords.take(1)
		s.inBytes.take(e.size)
	}
	at := max(millis(now), s.last) // a clock that steps back must not reorder records
	s.last = at
	s.log.trim(at - s.stream.retention.Load())

	q := sequence{at: at, shard: s.index, n: s.log.next}
	c := s.log.room(len(e.data) + len(e.key) + recordOverhead)
	c.text = appendRecord(c.text, e, q)
	s.log.add(c, at, e.size)
	s.stats.records++
	s.stats.bytes += uint64(e.size)
	return q, putDone
}

// recordOverhead is an upper bound of what appendRecord writes beside data and key.
const recordOverhead = 192 // bytes

// appendRecord writes a record as GetRecords answers it, and a comma.
func appendRecord(dst []byte, e *putEntry, q sequence) []byte {
	dst = append(dst, `{"ApproximateArrivalTimestamp":`...)
	dst = strconv.AppendInt(dst, q.at/1000, 10)
	dst = append(dst, '.')
	dst = appendPadded(dst, uint64(q.at%1000), 3)
	dst = append(dst, `,"Data":"`...)
	dst = append(dst, e.data...)
	dst = append(dst, `","PartitionKey":"`...)
	dst = append(dst, e.key...)
	dst = append(dst, `","SequenceNumber":"`...)
	dst = q.append(dst)
	return append(dst, `"},`...)
}

// shardPage is what one GetRecords or one pushed event gives.
type shardPage struct {
	logPage
	behind   int64    // milliseconds from the tip; 0 only at the tip
	seen     sequence // everything up to here was given, by this page or before it
	end      bool     // the shard is closed and nothing follows
	children []*shard // at the end
}

// readOptions says how much of a shard to read.
type readOptions struct {
	records, bytes int
	limited        bool // obey the limits of GetRecords
	emptyEvery     int  // each so many-th read gives nothing; 0 = none does
}

// read collects records from number from on, appending their text to parts.
// It returns false when limits do not let it.
func (s *shard) read(parts [][]byte, from uint64, now time.Time, opt readOptions) (shardPage, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if opt.limited {
		nanos := now.UnixNano()
		if !s.out.clear(nanos) || !s.reads.covers(nanos, 1) {
			s.stats.refusedReads++
			return shardPage{}, false
		}
		s.reads.take(1)
	}
	ms := millis(now)
	s.log.trim(ms - s.stream.retention.Load())
	s.calls++
	if opt.emptyEvery > 0 && s.calls%uint64(opt.emptyEvery) == 0 && from < s.log.next {
		opt.records = 0
	}
	p := shardPage{logPage: s.log.read(parts, from, opt.records, opt.bytes)}
	if opt.limited {
		s.out.spend(p.bytes)
	}
	s.place(&p, ms)
	return p, true
}

// place says where a page leaves its reader.
func (s *shard) place(p *shardPage, ms int64) {
	if p.next == s.log.next {
		// At the tip the place moves on with time, though no record comes, as
		// the service's continuation numbers do.
		p.seen = sequence{max(ms, s.last), s.index, p.next - 1}
		if s.closedAt != 0 {
			p.end, p.children = true, s.children
			p.seen.at = s.closedAt
		}
		return
	}
	latest := p.last.at
	if p.records == 0 {
		latest = s.log.record(p.next).at
	} else {
		p.seen = sequence{p.last.at, s.index, p.next - 1}
	}
	p.behind = max(1, ms-latest)
}

// start is the sequence number that the shard opens with.
func (s *shard) start() sequence { return sequence{at: s.createdAt, shard: s.index} }

// shardState is what changes in a shard, at one moment.
type shardState struct {
	closedAt  int64    // Unix milliseconds; 0 while it is open
	ending    sequence // of a closed shard: behind all of its records
	tip       sequence // of the latest record; n is 0 when there was none
	kept      int      // records
	keptBytes int      // bytes of memory that they take
	stats     shardStats
}

func (s *shard) state() shardState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return shardState{
		closedAt: s.closedAt,
		ending:   sequence{s.closedAt, s.index, s.log.next},
		tip:      sequence{s.last, s.index, s.log.next - 1},
		kept:     int(s.log.next - s.log.first), keptBytes: s.log.size,
		stats: s.stats,
	}
}
