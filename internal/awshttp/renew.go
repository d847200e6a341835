package awshttp

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
)

// renewEvery is the shortest time between two fetches of credentials that AWS has
// asked for: all shards of a stream are refused at once, and new credentials may be
// no better yet.
const renewEvery = 5 * time.Second

// Renew returns cfg for clients that fetch their credentials anew when AWS refuses
// them. The SDK keeps credentials until they say that they end, even if AWS has
// ended them sooner, as it does when a role's sessions are revoked, or the clock of
// one of the two is wrong. A call that could not be made for want of credentials
// fails with a *CredentialsError.
//
// Nothing is changed if cfg's credentials are not kept in a cache, as
// config.LoadDefaultConfig does. Clients made from what is returned share one
// cache, with those made from cfg, too.
func Renew(cfg aws.Config) aws.Config {
	cache, ok := cfg.Credentials.(*aws.CredentialsCache)
	if !ok {
		return cfg
	}
	r := &renewed{CredentialsCache: cache}
	cfg.Credentials = r
	cfg.APIOptions = append(slices.Clip(cfg.APIOptions), func(s *middleware.Stack) error {
		return s.Initialize.Add(middleware.InitializeMiddlewareFunc("RenewCredentials", r.watch), middleware.Before)
	})
	return cfg
}

// CredentialsError says that there were no credentials to sign a call with.
type CredentialsError struct{ Err error }

func (e *CredentialsError) Error() string { return "no AWS credentials: " + e.Err.Error() }
func (e *CredentialsError) Unwrap() error { return e.Err }

// RefusesCredentials tells whether AWS refused a call since it does not, or no
// longer, know the credentials that it was signed with.
func RefusesCredentials(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch api.ErrorCode() {
	case "ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId":
		return true
	}
	return false
}

// renewed is a cache whose content AWS may declare void.
type renewed struct {
	*aws.CredentialsCache

	mu     sync.Mutex
	latest time.Time // when the content was last thrown away
}

// Retrieve returns credentials, from the cache if it has any.
func (r *renewed) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := r.CredentialsCache.Retrieve(ctx)
	if err != nil {
		return c, &CredentialsError{err}
	}
	return c, nil
}

func (r *renewed) watch(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
	middleware.InitializeOutput, middleware.Metadata, error,
) {
	out, meta, err := next.HandleInitialize(ctx, in)
	if err != nil && RefusesCredentials(err) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if now := time.Now(); now.Sub(r.latest) >= renewEvery {
			r.latest = now
			r.Invalidate()
		}
	}
	return out, meta, err
}
