package awslocal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// faulty makes a server with a script and one lease in its table.
func faulty(t *testing.T, rules ...Fault) (*Server, func() error) {
	t.Helper()
	s := New(Config{Faults: NewFaults(1)})
	client := newDynamoClient(s)
	if _, err := client.CreateTable(t.Context(), leaseTable("leases")); err != nil {
		t.Fatal(err)
	}
	s.Faults().Add(rules...)
	return s, func() error {
		_, err := client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: aws.String("leases"), Key: attributes{"ShardID": str("a")}, UpdateExpression: aws.String("ADD n :1"),
			ExpressionAttributeValues: attributes{":1": num("1")},
		})
		return err
	}
}

// applied is how often the update of faulty was carried out.
func applied(t *testing.T, s *Server) string {
	t.Helper()
	s.Faults().Clear()
	out, err := newDynamoClient(s).GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("leases"), Key: attributes{"ShardID": str("a")}})
	if err != nil {
		t.Fatal(err)
	}
	if out.Item == nil {
		return "0"
	}
	return out.Item["n"].(*types.AttributeValueMemberN).Value
}

func TestFaultKinds(t *testing.T) {
	for _, tt := range []struct {
		fault   Fault
		code    string
		reset   bool
		applied string
		status  int // as the call log has it
	}{
		{Fault{Do: FaultThrottle}, "ProvisionedThroughputExceededException", false, "0", 400},
		{Fault{Do: FaultError}, "InternalServerError", false, "0", 500},
		{Fault{Do: FaultErrorAfter}, "InternalServerError", false, "1", 500},
		{Fault{Do: FaultError, Code: "AccessDeniedException"}, "AccessDeniedException", false, "0", 400},
		{Fault{Do: FaultErrorAfter, Code: "Odd", Status: 503}, "Odd", false, "1", 503},
		{Fault{Do: FaultReset}, "", true, "0", 0},
		{Fault{Do: FaultResetAfter}, "", true, "1", 0},
	} {
		t.Run(string(tt.fault.Do)+tt.fault.Code, func(t *testing.T) {
			s, update := faulty(t, tt.fault)
			err := update()
			var cut *net.OpError
			if err == nil || errorCode(err) != tt.code || errors.As(err, &cut) != tt.reset {
				t.Errorf("error %v, want code %q, reset %v", err, tt.code, tt.reset)
			}
			call := s.Calls()[1]
			if call.Fault != tt.fault.Do || call.Status != tt.status || call.Code != tt.code || call.Resource != "leases" && tt.applied == "1" {
				t.Errorf("noted as %+v", call)
			}
			if got := applied(t, s); got != tt.applied {
				t.Errorf("carried out %s times, want %s", got, tt.applied)
			}
		})
	}
}

func TestFaultsAreEachServicesOwn(t *testing.T) {
	for _, tt := range []struct{ service, action, throttled, failed string }{
		{"kinesis", "GetRecords", "ProvisionedThroughputExceededException", "InternalFailure"},
		{"kinesis", "ListShards", "LimitExceededException", "InternalFailure"},
		{"dynamodb", "PutItem", "ProvisionedThroughputExceededException", "InternalServerError"},
		{"dynamodb", "DescribeTable", "ThrottlingException", "InternalServerError"},
		{"wafv2", "UpdateIPSet", "ThrottlingException", "WAFInternalErrorException"},
	} {
		if got := (&Fault{Do: FaultThrottle}).err(tt.service, tt.action); got.code != tt.throttled || got.status != 400 {
			t.Errorf("%s %s throttled: %v", tt.service, tt.action, got)
		}
		if got := (&Fault{Do: FaultError}).err(tt.service, tt.action); got.code != tt.failed || got.status != 500 {
			t.Errorf("%s %s failed: %v", tt.service, tt.action, got)
		}
	}
}

func TestFaultsSelectCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tt := range map[string]struct {
			fault Fault
			want  string // one character a second: x for a fault
		}{
			"each":            {Fault{}, "xxxxxxxx"},
			"the third":       {Fault{Nth: 3}, "..x....."},
			"two":             {Fault{Times: 2}, "xx......"},
			"a window":        {Fault{After: 2 * time.Second, For: 3 * time.Second}, "..xxx..."},
			"from then on":    {Fault{After: 5 * time.Second}, ".....xxx"},
			"third in window": {Fault{After: 2 * time.Second, Nth: 3}, "....x..."},
			"another action":  {Fault{Action: "PutItem"}, "........"},
			"another service": {Fault{Service: "wafv2"}, "........"},
			"this action":     {Fault{Service: "dynamodb", Action: "UpdateItem", Times: 1}, "x......."},
		} {
			tt.fault.Do = FaultError
			s, update := faulty(t, tt.fault)
			var seen []byte
			for range len(tt.want) {
				c := byte('.')
				if update() != nil {
					c = 'x'
				}
				seen = append(seen, c)
				time.Sleep(time.Second)
			}
			if got := string(seen); got != tt.want {
				t.Errorf("%s: %s, want %s", name, got, tt.want)
			}
			if n := s.Faults().Strikes()[0]; n != strings.Count(tt.want, "x") {
				t.Errorf("%s: %d strikes", name, n)
			}
		}
	})
}

// The same seed gives the same faults, whatever other rules see in between.
func TestFaultsByChance(t *testing.T) {
	run := func(seed uint64, others int) (out []bool) {
		f := NewFaults(seed, Fault{Service: "wafv2", Do: FaultError, Probability: 0.3}, Fault{Service: "kinesis", Do: FaultError, Probability: 0.5})
		f.start(time.Now)
		for range 1000 {
			for range others {
				f.strike("kinesis", "GetRecords")
			}
			_, fault := f.strike("wafv2", "UpdateIPSet")
			out = append(out, fault != nil)
		}
		return out
	}
	first := run(7, 0)
	if !slices.Equal(first, run(7, 3)) {
		t.Error("another rule's calls shift the dice")
	}
	if slices.Equal(first, run(8, 0)) {
		t.Error("the seed is of no effect")
	}
	n := 0
	for _, x := range first {
		if x {
			n++
		}
	}
	if n < 250 || n > 350 {
		t.Errorf("%d of 1000 struck, at a chance of 0.3", n)
	}
}

func TestFaultDelayAndHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, update := faulty(t, Fault{Do: FaultDelay, Delay: time.Second}, Fault{Do: FaultDelay, Delay: 2 * time.Second}, Fault{Do: FaultThrottle, Delay: time.Minute, Nth: 2})
		start := time.Now()
		wantCode(t, update(), "")
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v, delayed by 3 s", took)
		}
		start = time.Now()
		wantCode(t, update(), "ProvisionedThroughputExceededException")
		if took := time.Since(start); took != 63*time.Second {
			t.Errorf("took %v, delayed by 63 s", took)
		}
		if call := s.Calls()[1]; call.Fault != FaultDelay || call.Code != "" {
			t.Errorf("noted as %+v", call)
		}

		for _, do := range []Fault{{Do: FaultHang}, {Do: FaultDelay, Delay: time.Hour}} {
			s.Faults().Clear()
			s.Faults().Add(do)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			start = time.Now()
			_, err := newDynamoClient(s).ListTables(ctx, &dynamodb.ListTablesInput{})
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
				t.Errorf("%s: %v after %v", do.Do, err, time.Since(start))
			}
			cancel()
		}
	})
}

// A call may be carried out though its client gave up, at once or a while later.
func TestFaultsAfterWhichTheClientIsGone(t *testing.T) {
	for _, tt := range []struct {
		fault       Fault
		atOnce, end string // how often the call was carried out
	}{
		{Fault{Do: FaultHang}, "0", "0"},
		{Fault{Do: FaultHangAfter}, "1", "1"},
		{Fault{Do: FaultLate, Delay: 8 * time.Second}, "0", "1"},
		{Fault{Do: FaultLate, Delay: time.Second}, "1", "1"},
	} {
		t.Run(string(tt.fault.Do), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := faulty(t, tt.fault)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				start := time.Now()
				_, err := newDynamoClient(s).UpdateItem(ctx, &dynamodb.UpdateItemInput{
					TableName: aws.String("leases"), Key: attributes{"ShardID": str("a")}, UpdateExpression: aws.String("ADD n :1"),
					ExpressionAttributeValues: attributes{":1": num("1")},
				})
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				if call := s.Calls()[1]; call.Fault != tt.fault.Do || call.Status != 0 {
					t.Errorf("noted as %+v", call)
				}
				if got := applied(t, s); got != tt.atOnce {
					t.Errorf("when the client gave up it was carried out %s times, want %s", got, tt.atOnce)
				}
				time.Sleep(5 * time.Second)
				if got := applied(t, s); got != tt.end {
					t.Errorf("in the end it was carried out %s times, want %s", got, tt.end)
				}
			})
		})
	}
}

// Over a port, a cut connection is one that a real client sees break.
func TestFaultsOverAPort(t *testing.T) {
	s := New(Config{})
	web := httptest.NewUnstartedServer(s)
	web.Config.ErrorLog = nil
	web.Start()
	defer web.Close()
	client := newDynamoClient(s)
	over := func(o *dynamodb.Options) { o.BaseEndpoint, o.HTTPClient = &web.URL, httpClient(t) }
	for _, do := range []FaultKind{FaultReset, FaultResetAfter, FaultThrottle} {
		s.Faults().Clear()
		s.Faults().Add(Fault{Do: do})
		_, err := client.CreateTable(t.Context(), leaseTable("table-"+string(do)), over)
		if isEOF := errors.Is(err, io.EOF); err == nil || isEOF == (do == FaultThrottle) {
			t.Errorf("%s: %v", do, err)
		}
	}
	s.Faults().Clear()
	s.Faults().Add(Fault{Do: FaultHang})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err := client.ListTables(ctx, &dynamodb.ListTablesInput{}, over)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("hang: %v", err)
	}
	s.Faults().Clear()
	out, err := client.ListTables(t.Context(), &dynamodb.ListTablesInput{}, over)
	if err != nil || !slices.Equal(out.TableNames, []string{"table-reset-after"}) {
		t.Errorf("tables %v, %v: want the one of reset-after", out, err)
	}
}

func TestParseFaults(t *testing.T) {
	f, err := ParseFaults(strings.NewReader(`{"seed": 7, "faults": [
		{"service": "wafv2", "action": "UpdateIPSet", "do": "throttle", "after": "10s", "for": "1m30s", "times": 3},
		{"service": "dynamodb", "do": "delay", "delay": "200ms", "probability": 0.1},
		{"do": "error-after", "code": "Odd", "status": 503, "message": "because", "nth": 2}
	]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Fault{
		{Service: "wafv2", Action: "UpdateIPSet", Do: FaultThrottle, After: 10 * time.Second, For: 90 * time.Second, Times: 3},
		{Service: "dynamodb", Do: FaultDelay, Delay: 200 * time.Millisecond, Probability: 0.1},
		{Do: FaultErrorAfter, Code: "Odd", Status: 503, Message: "because", Nth: 2},
	}
	for i, r := range f.rules {
		if r.Fault != want[i] {
			t.Errorf("rule %d: %+v, want %+v", i, r.Fault, want[i])
		}
	}
	if f.seed != 7 || len(f.rules) != len(want) {
		t.Errorf("seed %d, %d rules", f.seed, len(f.rules))
	}
}

func TestParseFaultsNamesEverythingWrong(t *testing.T) {
	_, err := ParseFaults(strings.NewReader(`{"faults": [
		{"do": "throtle"}, {"do": "reset", "service": "ec2"}, {"do": "reset", "action": "UpdateIPSets"}, {"do": "reset", "service": "dynamodb", "action": "UpdateIPSet"},
		{"do": "reset", "probability": 1.5}, {"do": "delay"}, {"do": "reset", "code": "X"}, {"do": "hang", "status": 500}, {"do": "error", "status": 200}, {"do": "reset", "nth": -1}
	]}`))
	if err == nil {
		t.Fatal("no error")
	}
	for i := range 10 {
		if want := "fault " + string(rune('1'+i)) + ":"; i < 9 && !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	for _, text := range []string{"", "[]", "{", `{"fault": []}`, `{"faults": [{"Do": 1}]}`, `{"faults": [{"do": "reset", "after": "soon"}]}`, `{"faults": [{"do": "reset", "nht": 1}]}`, `{} {}`} {
		if _, err := ParseFaults(strings.NewReader(text)); err == nil {
			t.Errorf("%q is no error", text)
		}
	}
}

func FuzzParseFaults(f *testing.F) {
	f.Add(`{"seed": 7, "faults": [{"service": "wafv2", "action": "UpdateIPSet", "do": "throttle", "after": "10s", "nth": 3}]}`)
	f.Add(`{"faults": [{"do": "delay", "delay": "1h", "probability": 1e-9}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		script, err := ParseFaults(strings.NewReader(text))
		if err != nil {
			return
		}
		script.start(func() time.Time { return time.Unix(0, 0) })
		for range 3 {
			if wait, _ := script.strike("wafv2", "UpdateIPSet"); wait < 0 {
				t.Errorf("waits %v", wait)
			}
		}
	})
}

// Every action in the routing lists must be one that its service serves:
// scripts are checked against the lists.
func TestActionsAreServed(t *testing.T) {
	s := New(Config{})
	for _, rt := range s.routes {
		if len(rt.actions) == 0 {
			t.Errorf("%s has no actions", rt.name)
		}
		for _, action := range rt.actions {
			if action == "SubscribeToShard" || rt.prefix == "" {
				continue // needs a consumer to stream to; is asked for with a form, see TestAssumeRole
			}
			if _, code := raw(t, s, rt.prefix+action, rt.name, "{}"); code == "UnknownOperationException" {
				t.Errorf("%s has no %s", rt.name, action)
			}
		}
	}
}

func TestOnCall(t *testing.T) {
	var calls []Call
	s := New(Config{OnCall: func(c Call) { calls = append(calls, c) }, Now: func() time.Time { return time.Unix(99, 0) }})
	client := newWAFClient(s, "us-east-1")
	newSet(t, client, "set")
	_, err := client.GetIPSet(t.Context(), &wafv2.GetIPSetInput{Name: aws.String("other"), Scope: scope, Id: aws.String(newID())})
	wantCode(t, err, "WAFNonexistentItemException")
	at := time.Unix(99, 0)
	want := []Call{
		{Service: "wafv2", Action: "CreateIPSet", Resource: "set", Key: "AKIDEXAMPLE", At: at, Status: http.StatusOK},
		{Service: "wafv2", Action: "GetIPSet", Resource: "other", Key: "AKIDEXAMPLE", At: at, Status: http.StatusBadRequest, Code: "WAFNonexistentItemException"},
	}
	if !slices.Equal(calls, want) || !slices.Equal(s.Calls(), want) {
		t.Errorf("calls %+v", calls)
	}
}

// The log tells what comes and goes, and not what is done with it.
func TestLog(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	s := New(Config{Logger: zap.New(core)})
	client, table := newDynamoClient(s), aws.String("leases")
	_, err := client.CreateTable(t.Context(), leaseTable(*table))
	wantCode(t, err, "")
	_, err = client.CreateTable(t.Context(), leaseTable(*table))
	wantCode(t, err, "ResourceInUseException")
	_, err = client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: table, Item: attributes{"ShardID": str("a")}})
	wantCode(t, err, "")
	_, err = client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: table, Key: attributes{"ShardID": str("a")}})
	wantCode(t, err, "")
	_, err = client.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: table})
	wantCode(t, err, "")
	var got []string
	for _, entry := range logged.All() {
		fields := entry.ContextMap()
		got = append(got, fmt.Sprintln(fields["service"], fields["action"], fields["resource"]))
	}
	if want := []string{"dynamodb CreateTable leases\n", "dynamodb DeleteTable leases\n"}; !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
}
