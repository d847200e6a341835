package ban

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	// maxPacked is how large a context may be, compressed, in bytes: an item may have
	// 400 KiB, keys and all.
	maxPacked = 350 << 10

	// maxUnpacked is how large what was compressed may become, in bytes.
	maxUnpacked = 16 << 20
)

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func textOf(v types.AttributeValue) string {
	if s, ok := v.(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}

func numberOf(v types.AttributeValue) int64 {
	n := int64(0)
	if s, ok := v.(*types.AttributeValueMemberN); ok {
		n, _ = strconv.ParseInt(s.Value, 10, 64) // only we write it
	}
	return n
}

func bytesOf(v types.AttributeValue) []byte {
	if b, ok := v.(*types.AttributeValueMemberB); ok {
		return b.Value
	}
	return nil
}

// namesIn gives the attributes that an expression names with #, as their own names
// are reserved words.
func namesIn(expression string) map[string]string {
	var names map[string]string
	for _, n := range []string{"until", "at", attrTTL} {
		if strings.Contains(expression, "#"+n) {
			if names == nil {
				names = make(map[string]string)
			}
			names["#"+n] = n
		}
	}
	return names
}

// until has DynamoDB delete an item some time after at.
func until(it item, at time.Time) item {
	it[attrTTL] = number(at.Unix())
	return it
}

// at gives an item its key.
func at(pk, sk string, it item) item {
	it[attrPK], it[attrSK] = text(pk), text(sk)
	return it
}

func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic("BUG: what is stored is no JSON: " + err.Error())
	}
	return raw
}

// decisionRow is a decision as JSON has it, times as Unix milliseconds. In items,
// until, removed and held are attributes of their own.
type decisionRow struct {
	ID       string       `json:"id"`
	Prefix   netip.Prefix `json:"prefix"`
	Action   Action       `json:"action"`
	Scenario string       `json:"scenario,omitempty"`
	Origin   Origin       `json:"origin"`
	Reason   string       `json:"reason,omitempty"`
	Severity Severity     `json:"severity"`
	Staged   bool         `json:"staged,omitempty"`
	Wide     bool         `json:"wide,omitempty"`
	At       int64        `json:"at"`
	Created  int64        `json:"created"`
	Arrived  int64        `json:"arrived,omitempty"`
	Until    int64        `json:"until,omitempty"`
	Removed  int64        `json:"removed,omitempty"`
	Held     Hold         `json:"held,omitempty"`
}

func rowOf(d *Decision) decisionRow {
	return decisionRow{
		ID: d.ID, Prefix: d.Prefix, Action: d.Action, Scenario: d.Scenario, Origin: d.Origin, Reason: d.Reason, Severity: d.Severity,
		Staged: d.Staged, Wide: d.Wide, At: millis(d.At), Created: millis(d.Created), Arrived: millis(d.Arrived),
		Until: millis(d.Until), Removed: millis(d.Removed), Held: d.Held,
	}
}

func (r *decisionRow) decision() Decision {
	return Decision{
		ID: r.ID, Prefix: r.Prefix, Action: r.Action, Scenario: r.Scenario, Origin: r.Origin, Reason: r.Reason, Severity: r.Severity,
		Staged: r.Staged, Wide: r.Wide, At: fromMillis(r.At), Created: fromMillis(r.Created), Arrived: fromMillis(r.Arrived),
		Until: fromMillis(r.Until), Removed: fromMillis(r.Removed), Held: r.Held,
	}
}

// decisionItem makes an item of a decision, but for its key.
func decisionItem(d *Decision) item {
	row := rowOf(d)
	row.Until, row.Removed, row.Held = 0, 0, ""
	it := item{"d": text(string(mustJSON(row))), "until": number(millis(d.Until))}
	if !d.Removed.IsZero() {
		it["removed"] = number(millis(d.Removed))
	}
	if d.Held != "" {
		it["held"] = text(string(d.Held))
	}
	return it
}

func decisionOf(it item) (Decision, error) {
	var row decisionRow
	if err := json.Unmarshal([]byte(textOf(it["d"])), &row); err != nil {
		return Decision{}, err
	}
	if err := checkPrefix(row.Prefix); err != nil {
		return Decision{}, err
	}
	row.Until, row.Removed, row.Held = numberOf(it["until"]), numberOf(it["removed"]), Hold(textOf(it["held"]))
	return row.decision(), nil
}

// alertRow is an alert as JSON has it.
type alertRow struct {
	ID       string       `json:"id"`
	Prefix   netip.Prefix `json:"prefix"`
	Scenario string       `json:"scenario"`
	At       int64        `json:"at"`
	Created  int64        `json:"created"`
	Until    int64        `json:"until"`
	Decision string       `json:"decision,omitempty"`
	Refused  string       `json:"refused,omitempty"`
}

func alertItem(a *Alert) item {
	return item{"d": text(string(mustJSON(alertRow{a.ID, a.Prefix, a.Scenario, millis(a.At), millis(a.Created), millis(a.Until), a.Decision, a.Refused})))}
}

func alertOfItem(it item) (Alert, error) {
	var r alertRow
	if err := json.Unmarshal([]byte(textOf(it["d"])), &r); err != nil {
		return Alert{}, err
	}
	return Alert{
		ID: r.ID, Prefix: r.Prefix, Scenario: r.Scenario, At: fromMillis(r.At), Created: fromMillis(r.Created), Until: fromMillis(r.Until),
		Decision: r.Decision, Refused: r.Refused,
	}, checkPrefix(r.Prefix)
}

// allowRow is an entry of the allowlist as JSON has it.
type allowRow struct {
	Prefix  netip.Prefix `json:"prefix"`
	Comment string       `json:"comment,omitempty"`
	Author  string       `json:"author,omitempty"`
	Created int64        `json:"created"`
	Expires int64        `json:"expires,omitempty"`
	Version int64        `json:"version"`
	Removed bool         `json:"removed,omitempty"`
}

func rowOfAllow(e *AllowEntry) allowRow {
	return allowRow{e.Prefix, e.Comment, e.Author, millis(e.Created), millis(e.Expires), e.version, e.removed}
}

func (r *allowRow) entry() AllowEntry {
	return AllowEntry{
		Prefix: r.Prefix, Comment: r.Comment, Author: r.Author, Created: fromMillis(r.Created), Expires: fromMillis(r.Expires),
		version: r.Version, removed: r.Removed,
	}
}

// auditRow is an entry of the audit log as JSON has it.
type auditRow struct {
	ID     string `json:"id"`
	At     int64  `json:"at"`
	Actor  string `json:"actor"`
	Action string `json:"action"`
	Target string `json:"target,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// packContext compresses a context. One that is too large for an item, as no client
// has made it yet, loses the older half of its requests until it fits.
func packContext(c *Context) []byte {
	for {
		packed := pack(mustJSON(c))
		if len(packed) <= maxPacked || len(c.Samples) == 0 {
			return packed
		}
		less := *c
		less.Samples = c.Samples[(len(c.Samples)+1)/2:]
		c = &less
	}
}

func unpackContext(packed []byte) (*Context, error) {
	if packed == nil {
		return nil, nil
	}
	raw, err := unpack(packed)
	if err != nil {
		return nil, err
	}
	return unmarshalContext(raw)
}

func pack(raw []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(raw) // never returns an error, as the buffer never does
	w.Close()
	return b.Bytes()
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxUnpacked+1))
	if err == nil && len(raw) > maxUnpacked {
		err = errors.New("more than is ever packed")
	}
	return raw, err
}

// Sort keys of what is listed by time.

func (p position) sortKey() string { return fmt.Sprintf("%015d#%s", p.created, p.id) }

func parseSortKey(sk string) (position, error) {
	ms, id, ok := strings.Cut(sk, "#")
	created, err := strconv.ParseInt(ms, 10, 64)
	if !ok || err != nil {
		return position{}, fmt.Errorf("sort key %q", sk)
	}
	return position{created, id}, nil
}

func dayOf(p position) string   { return fromMillis(max(p.created, 1)).Format("20060102") }
func monthOf(p position) string { return fromMillis(max(p.created, 1)).Format("200601") }
