package filter

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
)

func flatten(out []any, list []any) []any {
	for _, v := range list {
		value := reflect.ValueOf(v)
		if k := value.Kind(); k != reflect.Slice && k != reflect.Array {
			out = append(out, v)
			continue
		}
		inner := make([]any, value.Len())
		for i := range inner {
			inner[i] = value.Index(i).Interface()
		}
		out = flatten(out, inner)
	}
	return out
}

func distinct(list []any) []any {
	seen := make(map[any]bool, len(list))
	out := make([]any, 0, len(list))
	for _, v := range list {
		if v != nil && !reflect.TypeOf(v).Comparable() {
			out = append(out, v)
			continue
		}
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// intervals returns how far apart times are, which it sorts first.
func intervals(a []any) ([]time.Duration, error) {
	list, ok := a[0].([]any)
	if !ok {
		return nil, errors.New("not a list of times")
	}
	times := make([]time.Time, len(list))
	for i, v := range list {
		if times[i], ok = v.(time.Time); !ok {
			return nil, fmt.Errorf("element %d is not a time", i)
		}
	}
	if len(times) < 2 {
		return nil, errors.New("an interval takes two times")
	}
	slices.SortFunc(times, time.Time.Compare)
	apart := make([]time.Duration, len(times)-1)
	for i := range apart {
		apart[i] = times[i+1].Sub(times[i])
	}
	return apart, nil
}

func averageInterval(a ...any) (any, error) {
	apart, err := intervals(a)
	if err != nil {
		return nil, err
	}
	var total time.Duration
	for _, d := range apart {
		total += d
	}
	return total / time.Duration(len(apart)), nil
}

func medianInterval(a ...any) (any, error) {
	apart, err := intervals(a)
	if err != nil {
		return nil, err
	}
	slices.Sort(apart)
	n := len(apart)
	if n%2 == 1 {
		return apart[n/2], nil
	}
	return (apart[n/2-1] + apart[n/2]) / 2, nil
}
