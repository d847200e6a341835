package leader

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Config is what a [Lease] is made from. Zero values stand for the defaults named
// here.
type Config struct {
	// AWS has region, credentials and endpoints for DynamoDB, and an HTTP client to
	// start from; see awshttp.New.
	AWS aws.Config

	Table  string // the lease table, whose key is the string ShardID
	Worker string // who holds the lease: no other process, and none before, has this name

	Failover time.Duration // how long the lease outlives its holder, 2 s to 5 min; default 10 s

	// Grace is how much longer than Failover the holder goes on while the table does
	// not answer it at all. Default 10 min, negative = none.
	Grace time.Duration

	Logger     *zap.Logger           // nil = silent
	Registerer prometheus.Registerer // nil = not registered
}

const minFailover, maxFailover = 2 * time.Second, 5 * time.Minute

// withDefaults fills in what is zero and checks the rest. The error names
// everything that is wrong.
func (c Config) withDefaults() (Config, error) {
	c.Failover = cmp.Or(c.Failover, 10*time.Second)
	c.Grace = max(0, cmp.Or(c.Grace, 10*time.Minute))
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	var errs []error
	if c.Table == "" {
		errs = append(errs, errors.New("no lease table is named"))
	}
	if c.Worker == "" {
		errs = append(errs, errors.New("the process has no name to hold a lease under"))
	}
	if c.AWS.Region == "" {
		errs = append(errs, errors.New("no AWS region is set"))
	}
	if c.Failover < minFailover || c.Failover > maxFailover {
		errs = append(errs, fmt.Errorf("a failover time of %v is not within %v and %v", c.Failover, minFailover, maxFailover))
	}
	return c, errors.Join(errs...)
}

// terms are the times that the lease goes by. They follow from the failover time:
// in it, who holds the lease has several tries to renew it, and who waits for it
// looks several times.
type terms struct{ failover, grace time.Duration }

func (t terms) tick() time.Duration    { return min(time.Second, t.failover/10) } // between two looks, or two tries to renew
func (t terms) blind() time.Duration   { return t.failover / 2 }                  // a gap between looks that counts
func (t terms) renew() time.Duration   { return t.failover / 4 }
func (t terms) timeout() time.Duration { return min(2*time.Second, t.failover/5) } // of one call
func (t terms) valid() time.Duration   { return t.failover * 9 / 10 }              // how long the holder relies on a write
func (t terms) trust() time.Duration   { return t.failover * 3 / 5 }               // a gap between tries that is a pause
