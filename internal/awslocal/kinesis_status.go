package awslocal

import "time"

// StreamStatus is a stream at one moment.
type StreamStatus struct {
	Name, ARN string
	Shards    []ShardStatus // open and closed ones that are not forgotten yet, by id
}

// ShardStatus is a shard at one moment.
type ShardStatus struct {
	ID             string
	Parent         string // id; "" when the stream was made with the shard
	AdjacentParent string // id; "" unless the shard is of a merge
	Open           bool

	Records uint64 // taken in since the shard was opened
	Bytes   uint64 // of their data and keys
	Refused uint64 // records that the shard's limits kept out

	RefusedReads uint64 // GetRecords and GetShardIterator that the shard's limits kept out

	Kept       int       // records within the retention
	KeptBytes  int       // memory they take
	Tip        string    // sequence number of the latest record; "" when there was none
	LastRecord time.Time // when it arrived; zero when there was none
}

// Records is how many records the shards took in.
func (s StreamStatus) Records() uint64 {
	n := uint64(0)
	for _, sh := range s.Shards {
		n += sh.Records
	}
	return n
}

// Kinesis gives access to the streams without a request.
func (s *Server) Kinesis() *Kinesis { return s.kinesis }

// Status describes a stream; false: there is none of that name. It costs a
// lock of each shard for a moment and may be called often.
func (k *Kinesis) Status(name string) (StreamStatus, bool) {
	s, err := k.find(streamRef{StreamName: name})
	if err != nil {
		return StreamStatus{}, false
	}
	shards := s.layout.Load().all
	out := StreamStatus{Name: s.name, ARN: s.arn, Shards: make([]ShardStatus, len(shards))}
	for i, sh := range shards {
		state := sh.state()
		out.Shards[i] = ShardStatus{
			ID: sh.id, Parent: sh.parent, AdjacentParent: sh.adjacent, Open: state.closedAt == 0,
			Records: state.stats.records, Bytes: state.stats.bytes, Refused: state.stats.refused,
			RefusedReads: state.stats.refusedReads,
			Kept:         state.kept, KeptBytes: state.keptBytes,
		}
		if state.tip.n > 0 {
			out.Shards[i].Tip, out.Shards[i].LastRecord = state.tip.String(), time.UnixMilli(state.tip.at)
		}
	}
	return out, true
}
