// Command decode measures what it costs to get records out of Kinesis.
//
// First without a network: the body of an answer to GetRecords until its records
// are decided about, held against what the SDK takes to decode the same body and
// no more. Then the whole path, with a stand-in for Kinesis in a process of its
// own: TLS over loopback, KCL, decisions, and the same with the SDK as shipped.
// Costs are CPU time of the process that consumes, which has one core; ratios are
// of the same run.
//
//	go run ./bench/decode
//	go run ./bench/decode -path=false     without the network
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"syscall"
)

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "rounds without the network, and half of them with it; the median is printed")
	flag.BoolVar(&o.path, "path", true, "measure the path over TLS, too")
	flag.IntVar(&o.shards, "shards", 8, "shards of the stream on that path")
	flag.IntVar(&o.records, "records", 120_000, "records in that stream, of which the last three quarters are measured")
	serving := flag.Bool("serve", false, "be the stand-in; this command starts itself so")
	consuming := flag.String("consume", "", "be the consumer; likewise")
	flag.Parse()
	ctx := context.Background()
	var err error
	switch {
	case *serving:
		err = serve(ctx, o, os.Stdin, os.Stdout)
	case *consuming != "":
		var j job
		if err = json.Unmarshal([]byte(*consuming), &j); err == nil {
			err = consume(ctx, j, os.Stdout)
		}
	default:
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "decode:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds, shards, records int
	path                    bool
}

func run(ctx context.Context, o options) error {
	if err := measureBody(ctx, o.rounds); err != nil {
		return err
	}
	if !o.path {
		return nil
	}
	return measurePath(ctx, o)
}

// cpu is the CPU time of the whole process, in nanoseconds.
func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("BUG: getrusage of the process itself: " + err.Error())
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
