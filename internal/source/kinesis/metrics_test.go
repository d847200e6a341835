package kinesis

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"weir/internal/awslocal"
)

func TestMetrics(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		reg := prometheus.NewRegistry()
		r := w.run(w.note, func(c *Config) { c.Registerer = reg })
		w.add(10)
		w.untilAll(2 * time.Second)
		time.Sleep(5 * time.Second)
		problems, err := testutil.GatherAndLint(reg)
		w.must(err)
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
		err = testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP kinesis_leases Shards that this worker holds.
# TYPE kinesis_leases gauge
kinesis_leases 2
# HELP kinesis_shards Shards of the stream that take records.
# TYPE kinesis_shards gauge
kinesis_shards 2
# HELP kinesis_shards_unowned Shards that nobody reads though there may be something to read.
# TYPE kinesis_shards_unowned gauge
kinesis_shards_unowned 0
# HELP kinesis_records_total Records that were handled.
# TYPE kinesis_records_total counter
kinesis_records_total 10
# HELP kinesis_shard_lag_seconds How far reading is behind the newest record of a shard.
# TYPE kinesis_shard_lag_seconds gauge
kinesis_shard_lag_seconds{shard="shardId-000000000000"} 0
kinesis_shard_lag_seconds{shard="shardId-000000000001"} 0
`), "kinesis_leases", "kinesis_shards", "kinesis_shards_unowned", "kinesis_records_total", "kinesis_shard_lag_seconds")
		if err != nil {
			t.Error(err)
		}
		for _, s := range r.s.Status().Shards {
			if age := time.Since(s.Arrived); age < 5*time.Second || age > 7*time.Second {
				t.Errorf("the latest record of %s arrived %v ago", s.ID, age)
			}
			if time.Since(s.Read) > 300*time.Millisecond || s.Checkpoint == "" {
				t.Errorf("status: %+v", s)
			}
		}
		r.stop()
		if n := testutil.CollectAndCount(collector{r.s.Status}, "kinesis_shard_lag_seconds", "kinesis_last_record_age_seconds"); n != 0 {
			t.Errorf("%d figures of shards are left after their leases ended", n)
		}
		if n := testutil.ToFloat64(r.s.m.ended.WithLabelValues("stopped")); n != 2 {
			t.Errorf("%v leases ended by the stop, want 2", n)
		}
	})
}

// Lag grows while nothing is read, whatever the latest read has said.
func TestLagGrows(t *testing.T) {
	for name, f := range map[string]awslocal.FaultKind{"no read": awslocal.FaultHang, "no iterator": awslocal.FaultError} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				if f == awslocal.FaultError {
					w.faults.Add(fault("kinesis", "GetShardIterator", f, time.Minute))
				}
				r := w.run(w.note, nil)
				time.Sleep(2 * time.Second)
				w.faults.Add(fault("kinesis", "GetRecords", f, time.Minute))
				time.Sleep(30 * time.Second)
				if lag := r.s.Status().Shards[0].Behind; lag < 25*time.Second || lag > 35*time.Second {
					t.Errorf("after 30 s without a read the lag is %v", lag)
				}
				time.Sleep(time.Minute)
				if lag := r.s.Status().Shards[0].Behind; lag != 0 {
					t.Errorf("with reads the lag is %v", lag)
				}
				r.stop()
			})
		})
	}
}

// A shard that nobody reads shows, and so does what keeps it so.
func TestUnownedShows(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.faults.Add(fault("dynamodb", "UpdateItem", "throttle", time.Minute))
		core, logs := observer.New(zapcore.WarnLevel)
		r := w.run(w.note, func(c *Config) { c.Logger = zap.New(core) })
		time.Sleep(10 * time.Second)
		if n := logs.FilterMessage("shard could not be taken").Len(); n != 1 {
			t.Errorf("logged %d times that a shard could not be taken", n)
		}
		if st := r.s.Status(); st.Unowned != 2 || st.Open != 2 || len(st.Shards) != 0 {
			t.Errorf("status: %+v", st)
		}
		time.Sleep(time.Minute)
		if st := r.s.Status(); st.Unowned != 0 || st.Err != nil || time.Since(st.Looked) > 2*time.Second {
			t.Errorf("status: %+v", st)
		}
		w.faults.Add(fault("dynamodb", "UpdateItem", "throttle", time.Minute))
		time.Sleep(70 * time.Second)
		if n := logs.FilterMessage("lease could not be renewed, and the shard is read on").Len(); n != 1 {
			t.Errorf("logged %d times that a lease could not be renewed", n)
		}
		w.faults.Add(fault("kinesis", "ListShards", "error", time.Minute))
		time.Sleep(5 * time.Second)
		if st := r.s.Status(); st.Err == nil || time.Since(st.Looked) < 3*time.Second || len(st.Shards) != 2 {
			t.Errorf("status: %+v", st)
		}
		r.stop()
	})
}
