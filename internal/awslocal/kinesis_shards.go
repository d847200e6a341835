package awslocal

import "time"

type hashKeyRange struct{ StartingHashKey, EndingHashKey string }

type sequenceNumberRange struct {
	StartingSequenceNumber string
	EndingSequenceNumber   string `json:",omitempty"`
}

type shardDescription struct {
	ShardId               string
	ParentShardId         string `json:",omitempty"`
	AdjacentParentShardId string `json:",omitempty"`
	HashKeyRange          hashKeyRange
	SequenceNumberRange   sequenceNumberRange
}

func (s *shard) describe(state shardState) shardDescription {
	d := shardDescription{
		ShardId: s.id, ParentShardId: s.parent, AdjacentParentShardId: s.adjacent,
		HashKeyRange:        hashKeyRange{s.startKey, s.endKey},
		SequenceNumberRange: sequenceNumberRange{StartingSequenceNumber: s.start().String()},
	}
	if state.closedAt != 0 {
		d.SequenceNumberRange.EndingSequenceNumber = state.ending.String()
	}
	return d
}

type childShard struct {
	ShardId      string
	ParentShards []string
	HashKeyRange hashKeyRange
}

func childShards(children []*shard) []childShard {
	out := make([]childShard, len(children))
	for i, c := range children {
		parents := []string{c.parent}
		if c.adjacent != "" {
			parents = append(parents, c.adjacent)
		}
		out[i] = childShard{c.id, parents, hashKeyRange{c.startKey, c.endKey}}
	}
	return out
}

// shardFilter selects the shards of a listing.
type shardFilter uint64

const (
	filterNone   shardFilter = iota
	filterLatest             // open ones
	filterAt                 // those that were open at a time
	filterFrom               // those that were open at a time or later
)

type shardFilterInput struct {
	Type      string
	ShardId   string
	Timestamp *epochSeconds
}

// listing is a ListShards or DescribeStream as it goes on from page to page.
type listing struct {
	from   uint64 // index of the first shard that may be listed
	filter shardFilter
	at     int64 // Unix milliseconds, of the filter
}

// apply adds a request's filter.
func (l *listing) apply(s *stream, f *shardFilterInput, now time.Time) error {
	if f == nil {
		return nil
	}
	horizon := max(s.createdAt, millis(now)-s.retention.Load())
	switch f.Type {
	case "FROM_TRIM_HORIZON":
	case "AFTER_SHARD_ID":
		return l.after(f.ShardId)
	case "AT_LATEST":
		l.filter = filterLatest
	case "AT_TRIM_HORIZON":
		l.filter, l.at = filterAt, horizon
	case "AT_TIMESTAMP", "FROM_TIMESTAMP":
		if f.Timestamp == nil {
			return invalidArgument("%s needs a timestamp", f.Type)
		}
		l.filter, l.at = filterAt, f.Timestamp.millis()
		if f.Type == "FROM_TIMESTAMP" {
			l.filter, l.at = filterFrom, max(horizon, l.at)
		}
	default:
		return invalidShape("%.40q is no type of shard filter", f.Type)
	}
	return nil
}

// after starts the listing behind a shard, which need not be there any more.
func (l *listing) after(id string) error {
	index, ok := parseShardID(id)
	if !ok {
		return invalidArgument("%.60q is no shard id", id)
	}
	l.from = max(l.from, index+1)
	return nil
}

// page lists up to limit shards and moves behind them. It tells whether there
// are more.
func (l *listing) page(s *stream, limit int) (out []shardDescription, more bool) {
	out = []shardDescription{}
	for _, sh := range s.layout.Load().all {
		if sh.index < l.from {
			continue
		}
		state := sh.state()
		if !l.wants(sh, state) {
			continue
		}
		if len(out) == limit {
			return out, true
		}
		out = append(out, sh.describe(state))
		l.from = sh.index + 1
	}
	return out, false
}

func (l *listing) wants(sh *shard, state shardState) bool {
	open := state.closedAt == 0
	switch l.filter {
	case filterLatest:
		return open
	case filterAt:
		return sh.createdAt <= l.at && (open || state.closedAt >= l.at)
	case filterFrom:
		return open || state.closedAt >= l.at
	}
	return true
}

type listShardsInput struct {
	streamRef
	NextToken               string
	ExclusiveStartShardId   string
	MaxResults              *int
	ShardFilter             *shardFilterInput
	StreamCreationTimestamp *epochSeconds
	StreamId                string
}

func (k *Kinesis) listShards(in *listShardsInput) (any, error) {
	limit, err := pageSize(in.MaxResults, defaultListedShards, maxListedShards)
	if err != nil {
		return nil, err
	}
	now := k.now()
	s, l, err := k.openListing(in, now)
	if err != nil {
		return nil, err
	}
	var out struct {
		Shards    []shardDescription
		NextToken string `json:",omitempty"`
	}
	more := false
	if out.Shards, more = l.page(s, limit); more {
		out.NextToken = kinesisCursor{
			kind: cursorShards, issued: millis(now), stream: s.name, streamID: s.id,
			shard: l.from, filter: uint64(l.filter), filterAt: l.at,
		}.text()
	}
	return out, nil
}

// openListing begins a listing, or takes up one from its token.
func (k *Kinesis) openListing(in *listShardsInput, now time.Time) (*stream, *listing, error) {
	if in.NextToken == "" {
		s, err := k.find(in.streamRef)
		if err != nil {
			return nil, nil, err
		}
		l := new(listing)
		if in.ExclusiveStartShardId != "" {
			err = l.after(in.ExclusiveStartShardId)
		}
		if err == nil {
			err = l.apply(s, in.ShardFilter, now)
		}
		return s, l, err
	}
	if in.StreamName != "" || in.ExclusiveStartShardId != "" || in.StreamCreationTimestamp != nil {
		return nil, nil, invalidArgument("NextToken cannot go with what it already says")
	}
	c, err := k.openToken(cursorShards, in.NextToken, now)
	if err != nil {
		return nil, nil, err
	}
	s, err := k.find(streamRef{StreamName: c.stream, StreamARN: in.StreamARN})
	if err != nil {
		return nil, nil, err
	}
	if s.id != c.streamID {
		return nil, nil, notFound("the stream of the token, %s, is gone", c.stream)
	}
	return s, &listing{from: c.shard, filter: shardFilter(c.filter), at: c.filterAt}, nil
}

type describeStreamInput struct {
	streamRef
	ExclusiveStartShardId string
	Limit                 *int
	StreamId              string
}

// streamDescription is what DescribeStream and DescribeStreamSummary share.
type streamDescription struct {
	StreamName, StreamARN, StreamStatus string
	StreamModeDetails                   streamMode
	RetentionPeriodHours                int
	StreamCreationTimestamp             epochSeconds
	EnhancedMonitoring                  []struct{ ShardLevelMetrics []string }
	EncryptionType                      string
}

func (s *stream) describe() streamDescription {
	retention := time.Duration(s.retention.Load()) * time.Millisecond
	return streamDescription{
		StreamName: s.name, StreamARN: s.arn, StreamStatus: "ACTIVE",
		StreamModeDetails:       streamMode{s.mode},
		RetentionPeriodHours:    int((retention + time.Hour - 1) / time.Hour),
		StreamCreationTimestamp: fromMillis(s.createdAt),
		EnhancedMonitoring:      []struct{ ShardLevelMetrics []string }{{[]string{}}},
		EncryptionType:          "NONE",
	}
}

func (k *Kinesis) describeStream(in *describeStreamInput) (any, error) {
	limit, err := pageSize(in.Limit, defaultDescribedShards, maxListedShards)
	if err != nil {
		return nil, err
	}
	s, err := k.find(in.streamRef)
	if err != nil {
		return nil, err
	}
	var l listing
	if in.ExclusiveStartShardId != "" {
		if err := l.after(in.ExclusiveStartShardId); err != nil {
			return nil, err
		}
	}
	var out struct {
		StreamDescription struct {
			streamDescription
			Shards        []shardDescription
			HasMoreShards bool
		}
	}
	out.StreamDescription.streamDescription = s.describe()
	out.StreamDescription.Shards, out.StreamDescription.HasMoreShards = l.page(s, limit)
	return out, nil
}

type describeStreamSummaryInput struct {
	streamRef
	StreamId string
}

func (k *Kinesis) describeStreamSummary(in *describeStreamSummaryInput) (any, error) {
	s, err := k.find(in.streamRef)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	consumers := len(s.consumers)
	s.mu.Unlock()
	var out struct {
		StreamDescriptionSummary struct {
			streamDescription
			OpenShardCount, ConsumerCount, MaxRecordSizeInKiB int
		}
	}
	summary := &out.StreamDescriptionSummary
	summary.streamDescription = s.describe()
	summary.OpenShardCount = len(s.layout.Load().open)
	summary.ConsumerCount = consumers
	summary.MaxRecordSizeInKiB = s.maxRecord >> 10
	return out, nil
}
