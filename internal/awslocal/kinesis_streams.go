package awslocal

import (
	"cmp"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"time"
)

var streamNames = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)

type streamMode struct{ StreamMode string }

type createStreamInput struct {
	streamRef
	ShardCount         *int
	StreamModeDetails  *streamMode
	MaxRecordSizeInKiB *int
	Tags               map[string]string
}

// onDemandShards is what a stream without a shard count begins with.
const onDemandShards = 4

func (k *Kinesis) createStream(in *createStreamInput) (any, error) {
	mode, shards, record := "PROVISIONED", onDemandShards, defaultRecordBytes
	if in.StreamModeDetails != nil {
		mode = in.StreamModeDetails.StreamMode
	}
	if in.MaxRecordSizeInKiB != nil {
		record = *in.MaxRecordSizeInKiB << 10
	}
	if in.ShardCount != nil {
		shards = *in.ShardCount
	}
	switch {
	case !streamNames.MatchString(in.StreamName):
		return nil, invalidShape("%.140q is no name for a stream", in.StreamName)
	case mode != "PROVISIONED" && mode != "ON_DEMAND":
		return nil, invalidShape("%.40q is no mode of a stream", mode)
	case in.ShardCount == nil && mode == "PROVISIONED" || in.ShardCount != nil && mode == "ON_DEMAND":
		return nil, invalidShape("a shard count goes with PROVISIONED, and only with it")
	case shards < 1 || shards > maxListedShards:
		return nil, invalidShape("a stream has 1 to %d shards, not %d", maxListedShards, shards)
	case record < defaultRecordBytes || record > maxPutBytes:
		return nil, invalidShape("a record may have at most %d to %d bytes, not %d", defaultRecordBytes, maxPutBytes, record)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.streams[in.StreamName] != nil {
		return nil, inUse("stream %s under account %s already exists", in.StreamName, k.account)
	}
	k.made++
	at := millis(k.now())
	s := &stream{
		name: in.StreamName, arn: k.arnPrefix + in.StreamName, id: k.made, createdAt: at,
		mode: mode, maxRecord: record, limited: !k.cfg.Unlimited,
	}
	s.retention.Store(k.cfg.Retention.Milliseconds())
	first := new(layout)
	for _, keys := range evenRanges(shards) {
		first.all = append(first.all, s.openShard(keys, at, "", ""))
	}
	first.open = first.all
	s.layout.Store(first)
	k.streams[s.name] = s
	return nil, nil
}

type deleteStreamInput struct {
	streamRef
	EnforceConsumerDeletion bool
	StreamId                string
}

func (k *Kinesis) deleteStream(in *deleteStreamInput) (any, error) {
	s, err := k.find(in.streamRef)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.consumers); n > 0 && !in.EnforceConsumerDeletion {
		return nil, inUse("stream %s has %d registered consumers", s.name, n)
	}
	for _, c := range s.consumers {
		c.end()
	}
	s.consumers = nil
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.streams[s.name] == s { // nobody deleted it meanwhile
		delete(k.streams, s.name)
	}
	return nil, nil
}

type listStreamsInput struct {
	ExclusiveStartStreamName string
	Limit                    *int
	NextToken                string
}

type streamSummary struct {
	StreamName, StreamARN, StreamStatus string
	StreamModeDetails                   streamMode
	StreamCreationTimestamp             epochSeconds
}

func (k *Kinesis) listStreams(in *listStreamsInput) (any, error) {
	now := k.now()
	limit, err := pageSize(in.Limit, defaultDescribedShards, maxListedShards)
	if err != nil {
		return nil, err
	}
	after := in.ExclusiveStartStreamName
	if in.NextToken != "" {
		c, err := k.openToken(cursorStreams, in.NextToken, now)
		if err != nil {
			return nil, err
		}
		after = c.stream
	}
	k.mu.RLock()
	streams := slices.SortedFunc(maps.Values(k.streams), func(a, b *stream) int { return cmp.Compare(a.name, b.name) })
	k.mu.RUnlock()

	var out struct {
		StreamNames     []string
		StreamSummaries []streamSummary
		HasMoreStreams  bool
		NextToken       string `json:",omitempty"`
	}
	out.StreamNames, out.StreamSummaries = []string{}, []streamSummary{}
	for _, s := range streams {
		if s.name <= after {
			continue
		}
		if len(out.StreamNames) == limit {
			out.HasMoreStreams = true
			out.NextToken = kinesisCursor{kind: cursorStreams, issued: millis(now), stream: out.StreamNames[limit-1]}.text()
			break
		}
		out.StreamNames = append(out.StreamNames, s.name)
		out.StreamSummaries = append(out.StreamSummaries, streamSummary{
			s.name, s.arn, "ACTIVE", streamMode{s.mode}, fromMillis(s.createdAt),
		})
	}
	return out, nil
}

// pageSize checks how many items a request wants at once.
func pageSize(want *int, normal, most int) (int, error) {
	switch {
	case want == nil:
		return normal, nil
	case *want < 1 || *want > most:
		return 0, invalidShape("a page has 1 to %d items, not %d", most, *want)
	}
	return *want, nil
}

// openToken opens a NextToken.
func (k *Kinesis) openToken(kind cursorKind, text string, now time.Time) (kinesisCursor, error) {
	c, ok := parseCursor(kind, text)
	switch {
	case !ok:
		return c, invalidArgument("invalid NextToken")
	case !k.cfg.Unlimited && c.expired(now, tokenLife):
		return c, fail(http.StatusBadRequest, "ExpiredNextTokenException", "the token was made at %s and was good for %s", isoTime(c.issued), tokenLife)
	}
	return c, nil
}

type retentionInput struct {
	streamRef
	RetentionPeriodHours int
	StreamId             string
}

func (k *Kinesis) increaseRetention(in *retentionInput) (any, error) {
	return k.setRetention(in, func(now, next time.Duration) bool { return next >= now })
}

func (k *Kinesis) decreaseRetention(in *retentionInput) (any, error) {
	return k.setRetention(in, func(now, next time.Duration) bool { return next <= now })
}

func (k *Kinesis) setRetention(in *retentionInput, allowed func(now, next time.Duration) bool) (any, error) {
	s, err := k.find(in.streamRef)
	if err != nil {
		return nil, err
	}
	now := time.Duration(s.retention.Load()) * time.Millisecond
	next := time.Duration(in.RetentionPeriodHours) * time.Hour
	if next < defaultRetention || next > maxRetentionHours*time.Hour || !allowed(now, next) {
		return nil, invalidArgument("stream %s keeps records for %s and cannot be changed so to %d hours", s.name, now, in.RetentionPeriodHours)
	}
	s.retention.Store(next.Milliseconds())
	return nil, nil
}
