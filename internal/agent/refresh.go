package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"
)

// Doer sends HTTP requests, as [http.Client] does. It is expected to follow redirects and
// to keep to the context of the request.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

const (
	refreshPeriod  = 24 * time.Hour
	refreshAgain   = time.Hour // after a failure
	refreshTimeout = 30 * time.Second
	mostPublished  = 4 << 20 // bytes of an answer
	// A list that is left with less than this part of itself is taken for broken.
	leastLeft = 4
)

// Run keeps the ranges new and asks the DNS, as far as the Config allows, until ctx ends.
// It returns when nothing of it runs any more. Call it once.
func (d *Directory) Run(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if d.names != nil {
			d.names.run(ctx)
		}
	}()
	if d.client != nil {
		d.keepNew(ctx)
	}
	<-done
}

// keepNew refreshes once a day, at another time in each process, so that a fleet does not
// ask all at once.
func (d *Directory) keepNew(ctx context.Context) {
	wait := rand.N(10 * time.Minute)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		wait = refreshPeriod
		if err := d.Refresh(ctx); err != nil && ctx.Err() == nil {
			d.log.Warn("ranges of crawlers not renewed: the old ones stay", zap.Error(err))
			wait = refreshAgain
		}
		timer.Reset(wait - rand.N(wait/10))
	}
}

// Refresh fetches every list that is published, and replaces those that came whole. A
// list whose answer fails, cannot be read, is empty or has shrunk to less than a quarter
// stays as it was; the error names each such publisher and the reason. It must not be
// called while Run runs, and needs Config.Client.
func (d *Directory) Refresh(ctx context.Context) error {
	if d.client == nil {
		return errors.New("refresh ranges of crawlers: no client to fetch them with")
	}
	var errs []error
	fresh := *d.tables.Load()
	for i, p := range publishers {
		if len(p.urls) == 0 {
			continue
		}
		list, err := d.fetchList(ctx, p, fresh[i])
		if err != nil {
			d.metrics.failures.WithLabelValues(p.name).Inc()
			errs = append(errs, fmt.Errorf("ranges of %s: %w", p.name, err))
			continue
		}
		fresh[i] = list
	}
	d.publish(&fresh)
	return errors.Join(errs...)
}

// fetchList fetches all parts of a publisher's list.
func (d *Directory) fetchList(ctx context.Context, p publisher, old *rangeList) (*rangeList, error) {
	var prefixes []netip.Prefix
	for _, url := range p.urls {
		part, err := d.fetch(ctx, url)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", url, err)
		}
		prefixes = append(prefixes, part...)
	}
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	prefixes = slices.Compact(prefixes)
	if len(prefixes) < old.count/leastLeft {
		return nil, fmt.Errorf("%d ranges after %d: taken for a mistake", len(prefixes), old.count)
	}
	list := newRangeList(prefixes, time.Now(), p.urls[0])
	list.fresh = true
	if old.has4 && !list.has4 || old.has6 && !list.has6 {
		return nil, errors.New("all ranges of IPv4 or of IPv6 are gone: taken for a mistake")
	}
	return list, nil
}

func (d *Directory) fetch(ctx context.Context, url string) ([]netip.Prefix, error) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, text/plain;q=0.9, */*;q=0.1")
	res, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %s", res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, mostPublished+1))
	if err != nil {
		return nil, err
	}
	if len(body) > mostPublished {
		return nil, fmt.Errorf("more than %d bytes", mostPublished)
	}
	return parsePublished(body)
}
