package awslocal

import "time"

// What one shard of the service takes and gives.
const (
	putRecordsPerSecond = 1000
	putBytesPerSecond   = 1 << 20
	getBytesPerSecond   = 2 << 20
	getCallsPerSecond   = 5
	iteratorsPerSecond  = 5
)

// How long things last.
const (
	iteratorLife        = 5 * time.Minute
	tokenLife           = 5 * time.Minute // of a NextToken
	resubscribeAfter    = 5 * time.Second // a second SubscribeToShard before that is refused
	defaultSubscription = 5 * time.Minute // of a SubscribeToShard
	defaultRetention    = 24 * time.Hour  // of a record
	maxRetentionHours   = 365 * 24        // that a stream can be raised to
)

// How large things may be.
const (
	maxPutRecords          = 500                   // of one PutRecords
	maxPutBytes            = 10 << 20              // of one PutRecords, data and keys
	defaultRecordBytes     = 1 << 20               // of one record, data and key, unless the stream allows more
	maxKeyLength           = 256                   // of a partition key, characters
	maxPageRecords         = 10_000                // of one GetRecords
	maxPageBytes           = 10 << 20              // of one GetRecords
	maxEventBytes          = getBytesPerSecond / 4 // of one pushed event, a larger record apart
	maxListedShards        = 10_000                // of one ListShards or DescribeStream
	defaultListedShards    = 1000                  // of one ListShards
	defaultDescribedShards = 100                   // of one DescribeStream
	maxConsumers           = 20                    // of one stream
)

// allowance lets so much through a second, and saves up what was not used for
// at most a second. It starts full. It counts in billionths, so that each
// nanosecond brings a whole number.
type allowance struct {
	perSecond int64
	level     int64 // billionths of what is left; below 0 is a debt
	at        int64 // Unix nanoseconds that the level is of; 0 = the start
}

const billion = 1e9

// longestDebt is the longest wait that a debt can mean (10 MiB at 1 MiB a
// second are far from it). It keeps the arithmetic within 64 bits.
const longestDebt = int64(time.Hour)

func newAllowance(perSecond int64) allowance {
	return allowance{perSecond: perSecond, level: perSecond * billion}
}

func (a *allowance) fill(now int64) {
	if a.at != 0 && now > a.at {
		a.level = min(a.perSecond*billion, a.level+min(now-a.at, longestDebt)*a.perSecond)
	}
	a.at = max(a.at, now) // a clock that steps back brings nothing
}

// covers tells whether n may pass. What is larger than a second's worth passes
// when a second's worth is there.
func (a *allowance) covers(now int64, n int) bool {
	a.fill(now)
	return a.level >= min(int64(n), a.perSecond)*billion
}

// take takes n, which covers allowed.
func (a *allowance) take(n int) { a.level -= int64(n) * billion }

// clear tells whether there is no debt. It is for what has a size that is known
// only afterwards, and goes with spend.
func (a *allowance) clear(now int64) bool {
	a.fill(now)
	return a.level >= 0
}

// spend takes n, known only now. Who takes more than is there loses what was
// saved up and stands in debt for the whole: 10 MB out of a shard that gives
// 2 MB a second make it wait 5 seconds, as the service has it.
func (a *allowance) spend(n int) {
	if int64(n)*billion > a.level {
		a.level = min(a.level, 0)
	}
	a.take(n)
}
