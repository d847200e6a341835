package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"weir/internal/ban"
)

const sharedTable = "decisions-of-all"

// inSharedStreet is inStreet with a table of decisions.
func inSharedStreet(t *testing.T, story func(t *testing.T, w *street)) {
	t.Helper()
	inStreet(t, func(t *testing.T, w *street) {
		if err := ban.CreateTable(t.Context(), newTables(w.cloud), sharedTable); err != nil {
			t.Fatal(err)
		}
		story(t, w)
	})
}

// tell has the API change something.
func (r *resident) tell(method, path, body string) (int, string) {
	req := httptest.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	r.s.http.Handler.ServeHTTP(rec, req)
	return rec.Code, rec.Body.String()
}

// shows reports whether the API has a decision in force about a client.
func (r *resident) shows(client string) bool {
	_, body := r.ask("/api/v1/decisions?client=" + client)
	return strings.Contains(body, `"`+client+`"`)
}

// Of two services over one table one leads, and either takes what people decide: it
// is enforced, and shown by both, within seconds.
func TestTwoShareATable(t *testing.T) {
	inSharedStreet(t, func(t *testing.T, w *street) {
		environ := []string{"WEIR_BAN_TABLE=" + sharedTable, "WEIR_BAN_BREAKER_PER_MINUTE=2"}
		a := w.moveIn(observer{}, nil, environ...)
		w.until("leader", 30*time.Second, a.s.leading.Load)
		b := w.moveIn(observer{}, nil, environ...)
		w.until("a ready leader", time.Minute, func() bool { return len(a.reasons()) == 0 })

		w.put("45.9.0.1")
		w.until("ban", 10*time.Second, func() bool { return a.shows("45.9.0.1") })
		w.until("news of the ban at the standby", 2*time.Second, func() bool { return b.shows("45.9.0.1") })
		w.until("enforcement", 10*time.Second, func() bool { return w.holds("45.9.0.1") })

		if code, body := b.tell(http.MethodPost, "/api/v1/decisions", `{"value":"45.9.0.2"}`); code != http.StatusCreated {
			t.Fatalf("a ban by way of the standby: %d %s", code, body)
		}
		w.until("enforcement of a standby's ban", 10*time.Second, func() bool { return w.holds("45.9.0.2") })
		if code, body := b.tell(http.MethodDelete, "/api/v1/decisions?client=45.9.0.1", ""); code != http.StatusOK {
			t.Fatalf("an unban by way of the standby: %d %s", code, body)
		}
		w.until("end of a ban", 10*time.Second, func() bool { return !w.holds("45.9.0.1") && !a.shows("45.9.0.1") })

		// One may count for all, and one may release for all.
		w.put("45.9.1.1", "45.9.1.2", "45.9.1.3", "45.9.1.4")
		open := func(r *resident) bool {
			_, body := r.ask("/api/v1/breakers")
			return strings.Contains(body, `"open":true`)
		}
		w.until("a breaker", 10*time.Second, func() bool { return open(a) })
		w.until("news of it at the standby", 2*time.Second, func() bool { return open(b) })
		if w.holds("45.9.1.1", "45.9.1.2", "45.9.1.3", "45.9.1.4") {
			t.Fatal("nothing is held")
		}
		if code, body := b.tell(http.MethodPost, "/api/v1/release", `{}`); code != http.StatusOK {
			t.Fatalf("a release by way of the standby: %d %s", code, body)
		}
		w.until("enforcement of what was held", 20*time.Second, func() bool { return w.holds("45.9.1.1", "45.9.1.2", "45.9.1.3", "45.9.1.4") })
		if open(a) || open(b) {
			t.Error("a breaker is open after the release")
		}
		// One that this task does not know may be another's.
		if code, body := b.tell(http.MethodPost, "/api/v1/release", `{"scenario":"of-another-task"}`); code != http.StatusOK || strings.Contains(body, "of-another-task") {
			t.Errorf("a release of what this task does not know: %d %s", code, body)
		}

		a.stop()
		w.until("next leader", 3*time.Second, b.s.leading.Load)
		w.put("45.9.0.3")
		w.until("a ban by the next leader", 20*time.Second, func() bool { return w.holds("45.9.0.2", "45.9.0.3", "45.9.1.4") })
		b.stop()
	})
}

// While the table of decisions does not answer, and that of the leases does, clients are
// banned, and the checkpoints wait: whoever reads on after a crash decides again what was
// not stored.
func TestNothingIsLostWithTheTable(t *testing.T) {
	inSharedStreet(t, func(t *testing.T, w *street) {
		environ := []string{"WEIR_BAN_TABLE=" + sharedTable}
		a := w.moveIn(observer{}, nil, environ...)
		w.until("a ready leader", time.Minute, func() bool { return len(a.reasons()) == 0 })
		w.put("45.9.0.1")
		w.until("ban", 10*time.Second, func() bool { return w.holds("45.9.0.1") })
		time.Sleep(5 * time.Second)

		a.line.lose(sharedTable)
		w.put("45.9.0.2")
		w.until("ban without the table", time.Minute, func() bool { return w.holds("45.9.0.2") })
		time.Sleep(30 * time.Second)
		if why := a.reasons(); !contains(why, "decisions: ") {
			t.Errorf("reasons = %q", why)
		}
		a.kill()
		b := w.moveIn(observer{}, nil, environ...)
		w.until("the next to decide it again", time.Minute, func() bool { return b.shows("45.9.0.2") })
		if _, body := b.ask("/api/v1/decisions?client=45.9.0.2"); !strings.Contains(body, `"origin":"scenario"`) {
			t.Errorf("why it was decided is lost: %s", body)
		}
		b.stop()
		<-a.done
	})
}

// without is a way to AWS on which nothing about a table of DynamoDB passes.
type without struct {
	next  aws.HTTPClient
	table string
}

func (l without) Do(r *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB") {
		return l.next.Do(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if bytes.Contains(body, []byte(l.table)) {
		return nil, errors.New("no way to the table")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return l.next.Do(r)
}
