package ban

import (
	"context"
	"net/netip"
	"time"

	"weir/internal/detect"
)

const (
	// alertsPerHour is how many alerts about a client are kept in an hour beyond
	// those that made a decision. Whoever is served on, as his scenario is only being
	// tried out, say, raises one after the other for as long as he goes on: the first
	// tell what he does, more of them only that he has not stopped.
	alertsPerHour = 10

	// alertClients is how many clients this is counted for. Alerts of more of them in
	// an hour are counted by metrics alone: so many tell nothing one by one.
	alertClients = 1 << 16

	// wholeAlerts is how many alerts that wait to be stored keep all of their
	// requests: while the storage does not answer, memory has to last.
	wholeAlerts = 4096

	// fewSamples is how many requests the others keep.
	fewSamples = 2
)

// Alert is an alert as it is remembered. All its times are UTC with millisecond
// precision.
type Alert struct {
	ID       string       // that of the decision which it made, if it made one; the same when it is raised again
	Prefix   netip.Prefix // whom it is about
	Scenario string
	At       time.Time // event time of the overflow
	Created  time.Time // when it was judged, on the clock that bans run on
	Until    time.Time // until when the decision was to last that it made; of others: Created
	Decision string    // ID of the decision about it, made on it or found in force; empty: there is none
	Refused  string    // why it made no decision, as the label "reason" of ban_refused_total has it; empty: it made one
	Context  *Context  // what led to it; nil where the method that returned it says so
}

func (a *Alert) position() position { return position{millis(a.Created), a.ID} }

// alertOf makes what is remembered of an alert.
func alertOf(q *settled) Alert {
	a := Alert{
		ID: alertID(q.alert.Scenario.Name, q.alert.Client, fromMillis(q.alert.At)), Prefix: q.alert.Client, Scenario: q.alert.Scenario.Name,
		At: fromMillis(q.alert.At), Created: q.judged, Until: q.judged, Decision: q.id, Refused: q.refused,
	}
	if !q.fresh {
		a.Context = newContext(&q.alert)
	}
	return a
}

// alertBudget bounds how many alerts are kept that made no decision. Guarded by
// Store.mu.
type alertBudget struct {
	hour  int64 // Unix, of what is counted
	spent map[netip.Prefix]uint8
}

// take reports whether one more about a client is kept.
func (b *alertBudget) take(client netip.Prefix, now time.Time) bool {
	if hour := now.Unix() / 3600; hour != b.hour || b.spent == nil {
		b.hour, b.spent = hour, make(map[netip.Prefix]uint8)
	}
	n, known := b.spent[client]
	if n >= alertsPerHour || !known && len(b.spent) >= alertClients {
		return false
	}
	b.spent[client] = n + 1
	return true
}

// lighten drops most requests of an alert.
func lighten(a *detect.Alert) {
	// Copied, or the others would stay in memory with these.
	a.Samples = append([]detect.Sample(nil), a.Samples[max(0, len(a.Samples)-fewSamples):]...)
}

// AlertPage is a part of a list of alerts.
type AlertPage struct {
	Alerts []Alert // newest first, without their contexts
	Next   string  // cursor of the next page; empty: this is the last
}

// Alerts returns a page of the stored alerts that q asks for, of which Origin and All
// mean nothing. Every alert is there that made a decision, and of the others at most
// ten about a client in an hour. A cursor or limit that makes no sense is refused with
// a *RefusedError.
func (s *Store) Alerts(ctx context.Context, q Query) (AlertPage, error) {
	f, err := s.filterOf(&q)
	if err != nil {
		return AlertPage{}, err
	}
	list, err := s.storage.alerts(ctx, f)
	if err != nil || len(list) <= q.Limit {
		return AlertPage{Alerts: list}, err
	}
	list = list[:q.Limit]
	return AlertPage{list, list[q.Limit-1].position().cursor()}, nil
}

// GetAlert returns a stored alert with its context; false if there is none of this
// ID.
func (s *Store) GetAlert(ctx context.Context, id string) (Alert, bool, error) {
	a, ok, err := s.storage.alert(ctx, id)
	if a.Until.Before(s.kept()) {
		return Alert{}, false, err
	}
	return a, ok, err
}
