package detect

import (
	"fmt"
	"net/netip"

	"weir/internal/scenario"
)

// An Alert is one overflow of a bucket, as it concerns one client or network.
type Alert struct {
	Scenario *scenario.Scenario
	Client   netip.Prefix // whom it is about: a client, or the network that the bucket counted
	Addr     netip.Addr   // of the record that overflowed it, or of the member that it is about
	At       int64        // event time of the record that overflowed it, Unix milliseconds
	First    int64        // event time of the first record in the bucket, Unix milliseconds
	Events   int          // records that the bucket counted, the last one included; of a scenario that samples, an estimate
	Arrived  int64        // when the stream got the last record, Unix milliseconds; 0 = unknown

	// Samples are the latest requests in the bucket, oldest first: up to the
	// scenario's CacheSize, or 20, and fewer when there was no room to keep them.
	Samples []Sample
}

// A Sample is one request of an alert, in its wire form: what the client sent,
// with its own escapes. Longer values are cut.
type Sample struct {
	Time      int64 // Unix milliseconds
	Addr      netip.Addr
	Status    uint16
	Version   string // of the protocol, up to 16 bytes
	Method    string // up to 16 bytes
	Host      string // up to 128 bytes
	Path      string // up to 512 bytes
	Query     string // up to 512 bytes
	UserAgent string // up to 256 bytes
	Referer   string // up to 256 bytes
	Country   string // up to 8 bytes
	ASN       string // up to 16 bytes
	RequestID string // up to 64 bytes

	bits uint8 // of its client's network
}

// client returns whom the request was counted against.
func (s *Sample) client() netip.Prefix {
	p, _ := s.Addr.Prefix(int(s.bits)) // it was a Prefix of that address
	return p
}

// eventsOf returns samples as judges see them.
func eventsOf(samples []Sample) []scenario.Event {
	events := make([]scenario.Event, len(samples))
	for i := range samples {
		s := &samples[i]
		events[i] = scenario.Event{
			Time: s.Time, Addr: s.Addr.String(), Status: fmt.Sprintf("%03d", s.Status), Method: s.Method, Host: s.Host, Path: s.Path,
			Query: s.Query, UserAgent: s.UserAgent, Referer: s.Referer, Version: s.Version,
		}
	}
	return events
}
