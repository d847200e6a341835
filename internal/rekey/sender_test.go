package rekey

import (
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"weir/internal/awslocal"
	"weir/internal/detect"
	"weir/internal/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is an account with a stream for frames, in a bubble of time.
type world struct {
	t      *testing.T
	server *awslocal.Server
	faults *awslocal.Faults
	k      *kinesis.Client
}

// inWorld runs a test in a bubble with a fresh world.
func inWorld(t *testing.T, shards int, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, faults: awslocal.NewFaults(1)}
		w.server = awslocal.New(awslocal.Config{Faults: w.faults})
		w.k = kinesis.NewFromConfig(w.aws())
		w.create("events", shards)
		test(t, w)
	})
}

func (w *world) aws() aws.Config {
	return aws.Config{
		Region: "us-east-1", HTTPClient: w.server.HTTPClient(), BaseEndpoint: new("http://stand-in"),
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) create(stream string, shards int) {
	w.t.Helper()
	_, err := w.k.CreateStream(w.t.Context(), &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: new(int32(shards))})
	w.must(err)
	w.settle(stream)
}

// settle waits until a stream is active.
func (w *world) settle(stream string) {
	w.t.Helper()
	for {
		out, err := w.k.DescribeStreamSummary(context.Background(), &kinesis.DescribeStreamSummaryInput{StreamName: &stream})
		w.must(err)
		if out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return
		}
		time.Sleep(time.Second)
	}
}

func (w *world) shards(stream string) (all, open []types.Shard) {
	w.t.Helper()
	out, err := w.k.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: &stream})
	w.must(err)
	for _, s := range out.Shards {
		if all = append(all, s); s.SequenceNumberRange.EndingSequenceNumber == nil {
			open = append(open, s)
		}
	}
	slices.SortFunc(open, func(a, b types.Shard) int {
		return hashKey(w.t, *a.HashKeyRange.StartingHashKey).Cmp(hashKey(w.t, *b.HashKeyRange.StartingHashKey))
	})
	return all, open
}

func hashKey(t *testing.T, text string) *big.Int {
	k, ok := new(big.Int).SetString(text, 10)
	if !ok {
		t.Fatal(text)
	}
	return k
}

// split splits the nth open shard, in the order of their hash keys, somewhere that is no
// border of partitions.
func (w *world) split(stream string, n int) {
	w.t.Helper()
	_, open := w.shards(stream)
	from, to := hashKey(w.t, *open[n].HashKeyRange.StartingHashKey), hashKey(w.t, *open[n].HashKeyRange.EndingHashKey)
	at := new(big.Int).Add(from, to)
	at.Mul(at, big.NewInt(5)).Div(at, big.NewInt(11))
	if at.Cmp(from) <= 0 {
		at.Add(from, to).Div(at, big.NewInt(2))
	}
	_, err := w.k.SplitShard(context.Background(), &kinesis.SplitShardInput{StreamName: &stream, ShardToSplit: open[n].ShardId, NewStartingHashKey: new(at.String())})
	w.must(err)
	w.settle(stream)
}

// merge merges the nth open shard with the next.
func (w *world) merge(stream string, n int) {
	w.t.Helper()
	_, open := w.shards(stream)
	_, err := w.k.MergeShards(context.Background(), &kinesis.MergeShardsInput{StreamName: &stream, ShardToMerge: open[n].ShardId, AdjacentShardToMerge: open[n+1].ShardId})
	w.must(err)
	w.settle(stream)
}

// records returns all records of a shard.
func (w *world) records(stream string, shard *string) (all []types.Record) {
	w.t.Helper()
	it, err := w.k.GetShardIterator(context.Background(), &kinesis.GetShardIteratorInput{StreamName: &stream, ShardId: shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	w.must(err)
	for next := it.ShardIterator; next != nil; time.Sleep(250 * time.Millisecond) {
		out, err := w.k.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: next})
		w.must(err)
		all = append(all, out.Records...)
		if next = out.NextShardIterator; len(out.Records) == 0 && *out.MillisBehindLatest == 0 {
			break
		}
	}
	return all
}

// A counted event is one that a reader of the stream counts.
type countedEvent struct {
	source   string
	position Position
}

// read reads the stream as detect tasks do: parents before children, what is not of a shard's
// partitions left alone, and nothing that came before. It returns what counts, by partition,
// in its order, and how many events came twice.
func (w *world) read(partitionOf func(*detect.Match) int) (counted map[int][]countedEvent, twice int) {
	w.t.Helper()
	counted = make(map[int][]countedEvent)
	seen := make(map[int]map[string]Position)
	r := NewReader(testDigests)
	all, _ := w.shards("events") // in the order in which they came to be
	for _, s := range all {
		span, err := SpanOf(*s.HashKeyRange.StartingHashKey, *s.HashKeyRange.EndingHashKey)
		w.must(err)
		for _, rec := range w.records("events", s.ShardId) {
			events, err := r.Read(rec.Data, nil)
			w.must(err)
			for _, e := range events {
				v := partitionOf(&e.Match)
				if !span.Has(v) {
					continue
				}
				if seen[v] == nil {
					seen[v] = make(map[string]Position)
				}
				if e.Position.Compare(seen[v][e.Source]) <= 0 {
					twice++
					continue
				}
				seen[v][e.Source] = e.Position
				counted[v] = append(counted[v], countedEvent{e.Source, e.Position})
			}
		}
	}
	return counted, twice
}

// testPartition is where the events of these tests belong.
func testPartition(m *detect.Match) int {
	b := m.Addr.As4()
	return (int(b[2])<<8 | int(b[3])) % detect.Partitions
}

// feed adds n events to a parcel at a time, from records of a source on, and waits for each
// parcel.
type feed struct {
	name string
	next int
	sent map[int][]countedEvent
}

func (f *feed) parcel(ctx context.Context, s *Sender, events int) error {
	p := s.NewParcel()
	for range events {
		f.next++
		at, _ := ParsePosition(fmt.Sprint(f.next/3), uint32(f.next%3)) // three a record
		m := matchOf(f.next)
		v := testPartition(&m)
		if err := p.Add(ctx, f.name, at, &m, v); err != nil {
			return err
		}
		f.sent[v] = append(f.sent[v], countedEvent{f.name, at})
	}
	return p.Wait(ctx)
}

func matchOf(n int) detect.Match {
	return detect.Match{
		Addr: netip.AddrFrom4([4]byte{10, 0, byte(n * 7 >> 8), byte(n * 7)}), Bits: 32, Time: 1_790_000_000_000 + int64(n), Request: uint64(n)<<16 | 1,
		Status: 404, Hits: []scenario.Hit{{Scenario: uint16(n % 3), Weight: 1000}}, Columns: []byte(strings.Repeat("x", n%400) + "\tid-" + fmt.Sprint(n)),
	}
}

// TestSenderSendsAllInOrder: through refusals, late and lost answers and reshards, everything
// arrives, that of a partition in order, and what came twice is known.
func TestSenderSendsAllInOrder(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, 3, func(t *testing.T, w *world) {
				rng := rand.New(rand.NewPCG(seed, 0))
				reg := prometheus.NewPedanticRegistry()
				s, err := NewSender(SenderConfig{AWS: w.aws(), Stream: "events", Digests: testDigests, Registerer: reg})
				w.must(err)
				ctx, stop := context.WithCancel(t.Context())
				var running, feeding sync.WaitGroup
				running.Go(func() { s.Run(ctx) })
				if seed > 0 {
					w.faults.Add(
						awslocal.Fault{Service: "kinesis", Action: "PutRecords", Probability: 0.05, Do: awslocal.FaultResetAfter},
						awslocal.Fault{Service: "kinesis", Action: "PutRecords", Probability: 0.05, Do: awslocal.FaultThrottle},
						awslocal.Fault{Service: "kinesis", Action: "PutRecords", Probability: 0.05, Do: awslocal.FaultErrorAfter},
						awslocal.Fault{Service: "kinesis", Action: "PutRecords", Probability: 0.05, Do: awslocal.FaultLate, Delay: 15 * time.Second},
						awslocal.Fault{Service: "kinesis", Action: "ListShards", Probability: 0.2, Do: awslocal.FaultError},
					)
				}
				feeds := make([]*feed, 5)
				for i := range feeds {
					feeds[i] = &feed{name: fmt.Sprint("shard-", i), sent: make(map[int][]countedEvent)}
					n := 20 + rng.IntN(20)
					sizes := make([]int, n)
					for j := range sizes {
						sizes[j] = rng.IntN(200)
					}
					feeding.Go(func() {
						for _, size := range sizes {
							if err := feeds[i].parcel(ctx, s, size); err != nil {
								t.Error(err)
							}
						}
					})
				}
				if seed != 1 {
					for range 3 {
						time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
						w.faultless(func() { w.split("events", rng.IntN(2)) })
						time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
						w.faultless(func() { w.merge("events", rng.IntN(2)) })
					}
				}
				feeding.Wait()
				if err := s.Ready(); err != nil {
					t.Error(err)
				}
				stop()
				running.Wait()
				time.Sleep(time.Minute) // what is late has come
				w.faults.Clear()

				counted, twice := w.read(testPartition)
				total := 0
				for v := range detect.Partitions {
					for _, f := range feeds {
						got := slices.DeleteFunc(slices.Clone(counted[v]), func(c countedEvent) bool { return c.source != f.name })
						if !slices.Equal(got, f.sent[v]) {
							t.Fatalf("partition %d of %s: %d events arrived, want %d", v, f.name, len(got), len(f.sent[v]))
						}
						total += len(got)
					}
				}
				if got := int(testutil.ToFloat64(s.m.events)); got != total {
					t.Errorf("%d events are counted, want %d", got, total)
				}
				if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
					t.Error(problems, err)
				}
				t.Logf("%d events in %v frames of %v bytes; %d came twice", total, testutil.ToFloat64(s.m.frames), testutil.ToFloat64(s.m.bytes), twice)
			})
		})
	}
}

// faultless does something with no fault in its way.
func (w *world) faultless(do func()) { do() }
