package awslocal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// script is a fault script as a file has it.
type script struct {
	Seed   uint64        `json:"seed"`
	Faults []scriptFault `json:"faults"`
}

type scriptFault struct {
	Service     string    `json:"service"`
	Action      string    `json:"action"`
	Nth         int       `json:"nth"`
	Times       int       `json:"times"`
	Probability float64   `json:"probability"`
	After       duration  `json:"after"`
	For         duration  `json:"for"`
	Do          FaultKind `json:"do"`
	Delay       duration  `json:"delay"`
	Code        string    `json:"code"`
	Status      int       `json:"status"`
	Message     string    `json:"message"`
}

// duration is written "1.5s", as Go has it.
type duration time.Duration

// UnmarshalText reads a duration.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = duration(v)
	return err
}

// ParseFaults reads a fault script: a JSON object with a seed and a list of
// faults, whose members are those of [Fault] in lower case, times as "1.5s".
//
//	{"seed": 1, "faults": [
//	  {"service": "wafv2", "action": "UpdateIPSet", "do": "throttle", "after": "10s", "for": "5s"},
//	  {"service": "dynamodb", "do": "delay", "delay": "200ms", "probability": 0.1}
//	]}
//
// The error names everything that is wrong, since a rule that can never strike
// would make a test pass that shows nothing.
func ParseFaults(r io.Reader) (*Faults, error) {
	var in script
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, fmt.Errorf("read fault script: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read fault script: something follows the object")
	}
	var errs []error
	rules := make([]Fault, 0, len(in.Faults))
	for i, f := range in.Faults {
		rule := Fault{
			Service: f.Service, Action: f.Action,
			Nth: f.Nth, Times: f.Times, Probability: f.Probability,
			After: time.Duration(f.After), For: time.Duration(f.For),
			Do: f.Do, Delay: time.Duration(f.Delay),
			Code: f.Code, Status: f.Status, Message: f.Message,
		}
		if err := rule.check(); err != nil {
			errs = append(errs, fmt.Errorf("fault %d: %w", i+1, err))
		}
		rules = append(rules, rule)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("read fault script: %w", err)
	}
	return NewFaults(in.Seed, rules...), nil
}

// check looks for what can only be a mistake.
func (f *Fault) check() error {
	var errs []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(!slices.Contains(FaultKinds(), f.Do), "do: %q is none of %q", f.Do, FaultKinds())
	wrong(!knownAction(f.Service, f.Action), "service %q has no action %q", f.Service, f.Action)
	wrong(f.Nth < 0, "nth: %d is below 0", f.Nth)
	wrong(f.Times < 0, "times: %d is below 0", f.Times)
	wrong(!(f.Probability >= 0 && f.Probability <= 1), "probability: %v is not in 0..1", f.Probability)
	wrong(f.After < 0, "after: %v is below 0", f.After)
	wrong(f.For < 0, "for: %v is below 0", f.For)
	wrong(f.Delay < 0, "delay: %v is below 0", f.Delay)
	wrong(f.Do == FaultDelay && f.Delay == 0, "delay: how long?")
	wrong(f.Status != 0 && (f.Status < 400 || f.Status > 599), "status: %d is not in 400..599", f.Status)
	isError := f.Do == FaultError || f.Do == FaultErrorAfter
	wrong(f.Code != "" && !isError, "code: only an error has one")
	wrong((f.Status != 0 || f.Message != "") && !isError && f.Do != FaultThrottle, "status, message: %q has no answer", f.Do)
	return errors.Join(errs...)
}

// knownAction tells whether a rule for service and action can ever strike.
func knownAction(service, action string) bool {
	lists := map[string][]string{
		serviceKinesis: kinesisActions, serviceDynamoDB: dynamoActions, serviceWAF: wafActions, serviceSTS: stsActions,
		serviceS3: objectActions,
	}
	found := false
	for name, actions := range lists {
		if service == "" || service == name {
			found = found || action == "" || slices.Contains(actions, action)
		}
	}
	return found
}
