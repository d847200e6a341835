package kinesis

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"weir/internal/awslocal"
)

// keyring gives out credentials, one key after the other, and knows which is good.
type keyring struct {
	life time.Duration // of a key

	mu    sync.Mutex
	down  bool
	given int // keys are their numbers, from 1
	good  int // keys from this one on
}

func (k *keyring) Retrieve(context.Context) (aws.Credentials, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down {
		return aws.Credentials{}, errors.New("the task's credentials cannot be had")
	}
	k.given++
	return aws.Credentials{
		AccessKeyID: strconv.Itoa(k.given), SecretAccessKey: "secret", CanExpire: true, Expires: time.Now().Add(k.life),
	}, nil
}

// answer refuses whoever comes with an old key, as AWS does.
func (k *keyring) answer(r *http.Request, resp *http.Response) *http.Response {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(rest, "/")
	if n, _ := strconv.Atoi(key); n >= k.good || resp != nil {
		return nil
	}
	return &http.Response{
		StatusCode: http.StatusBadRequest, Header: http.Header{}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}`)),
	}
}

func (k *keyring) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

// Credentials that end, before their time or not, and none for a while: reading goes
// on when there are new ones, and until then the status says what is missing.
func TestCredentialsEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		life    time.Duration
		trouble func(*keyring)
		outage  time.Duration
	}{
		"in time":     {life: 20 * time.Second},
		"revoked":     {life: time.Hour, trouble: func(k *keyring) { k.good = k.given + 1 }},
		"for a while": {life: time.Hour, trouble: func(k *keyring) { k.good, k.down = k.given+1, true }, outage: time.Minute},
	} {
		for how, change := range map[string]func(*Config){"polling": func(*Config) {}, "fan-out": fanned} {
			t.Run(name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, 2, awslocal.Config{Kinesis: awslocal.KinesisConfig{SubscriptionLife: 20 * time.Second}})
					defer w.watch()()
					k := &keyring{life: tc.life}
					r := w.runOver(&link{answer: k.answer}, w.note, func(c *Config) {
						change(c)
						c.AWS.Credentials = aws.NewCredentialsCache(k)
					})
					w.trickle(10, 100*time.Millisecond, 10*time.Second)
					if tc.trouble != nil {
						k.set(func() { tc.trouble(k) })
					}
					if tc.outage > 0 {
						w.trickle(10, 200*time.Millisecond, tc.outage)
						for _, s := range r.s.Status().Shards {
							if s.Trouble != readCredentials {
								t.Errorf("shard %s has trouble with %q, want %q", s.ID, s.Trouble, readCredentials)
							}
						}
						k.set(func() { k.down = false })
					}
					w.add(100)
					t.Log("nothing left", w.untilAll(10*time.Second), "after there were new credentials")
					w.trickle(10, 200*time.Millisecond, 30*time.Second)
					w.untilAll(10 * time.Second)
					for _, s := range r.s.Status().Shards {
						if s.Trouble != "" {
							t.Errorf("shard %s still has trouble with %q", s.ID, s.Trouble)
						}
					}
					r.stop()
					w.wantAll(false)
					if n := w.gained(r); n != 2 {
						t.Errorf("leases were taken %d times, want 2", n)
					}
					// When they are revoked, another call than a read may be the first to know.
					if n := testutil.ToFloat64(r.s.m.readErrors.WithLabelValues(readCredentials)); tc.trouble == nil && n > 0 {
						t.Errorf("%v reads failed for want of credentials", n)
					}
					if k.given < 2 || k.given > 10 {
						t.Errorf("credentials were fetched %d times", k.given)
					}
				})
			})
		}
	}
}
