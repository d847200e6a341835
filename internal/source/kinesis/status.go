package kinesis

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Status is how reading stands.
type Status struct {
	Worker  string        // the name that this worker's leases are held under
	Shards  []ShardStatus // held by this worker, by id
	Open    int           // shards of the stream that take records
	Unowned int           // shards that nobody reads though there may be something to read
	Looked  time.Time     // when stream and lease table were last listed; zero = not yet
	Err     error         // why they could not be listed the last time; nil = they were
}

// ShardStatus is how the reading of one shard stands.
type ShardStatus struct {
	ID         string
	Behind     time.Duration // behind the newest record of the shard; grows while nothing can be read
	Read       time.Time     // latest read that succeeded; zero = none yet
	Arrived    time.Time     // arrival in the stream of the latest record that was read; zero = none yet
	Checkpoint string        // how far it is handled: sequence number, or "" = nothing yet
	Retrying   bool          // the batch in hand was not handled the first time
	Trouble    string        // what reads of it fail by, again and again, as kinesis_read_errors_total has it; "" = they do not
	Refused    string        // "position N of WHENCE", from which Kinesis refuses to have it read; "" = it does not
	Resumed    bool          // where it is read from is settled; see Config.Resume
	Waits      string        // why it is not, though it was tried; "" = it was not tried, or is settled
}

// Status tells how reading stands. It may be called at any time.
func (s *Source) Status() Status {
	s.mu.Lock()
	r := s.report
	s.mu.Unlock()
	st := Status{Worker: s.table.worker, Open: r.open, Unowned: r.unowned, Looked: r.at, Err: r.err}
	for _, sh := range s.ledger.all() {
		st.Shards = append(st.Shards, ShardStatus{
			ID:         sh.id,
			Behind:     sh.lag(),
			Read:       timeOf(sh.stats.read.Load()),
			Arrived:    timeOf(sh.stats.arrived.Load()),
			Checkpoint: sh.lease.progress(),
			Retrying:   sh.stats.retrying.Load(),
			Trouble:    aws.ToString(sh.stats.trouble.Load()),
			Refused:    aws.ToString(sh.stats.refused.Load()),
			Resumed:    sh.resumed.Load(),
			Waits:      aws.ToString(sh.stats.waits.Load()),
		})
	}
	return st
}

func (s *Source) setReport(r boardReport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report = r
}

func timeOf(unixMilli int64) time.Time {
	if unixMilli == 0 {
		return time.Time{}
	}
	return time.UnixMilli(unixMilli)
}
