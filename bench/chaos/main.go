// Command chaos kills Weir, again and again, at the worst moments, and audits what
// became of the bans.
//
// It holds stand-ins for AWS, runs the real program against them as ECS would (a task
// that dies is started again), makes traffic of which it knows who must be banned and
// who must not, and sends SIGKILL at random times and at chosen ones: as a call
// reaches AWS, or after AWS has carried it out and before the task gets the answer. It does so for one
// task that keeps its state in files and, beside it, for two tasks that share theirs, and
// for two that ingest with two that detect. When all is well it sometimes sends SIGTERM
// instead, beside the kills that are asked for: that task has to end with 0.
//
// The last line that it prints is JSON:
//
//	lost            bans that had to be and are not, were shown and are no longer, or were taken out of an IP set
//	extra           bans of clients that stopped short of one
//	duplicated      decisions about the same client and scenario beyond the first
//	rewinds         checkpoints that moved back
//	recover_p99_s   seconds from a kill, where no other follows, until a request made at that moment is banned in WAF
//	stop_p99_s      seconds from SIGTERM until the process has ended
//	resume_p99_s    seconds from SIGTERM until another task reads each shard that the stopped one read;
//	                where there is no other, from when the one has started that is to take its place
//
// It ends with 1 where one of the first four is not 0, or recovery takes longer than 30 s, a
// stop longer than 20 s, or a successor longer than 5 s to read on.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// The bars, in seconds.
const (
	longestRecovery = 30
	longestStop     = 20
	longestResume   = 5
)

func run() error {
	kills := flag.Int("kills", 50, "how many tasks are killed, in all set-ups together")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the traffic and of the kills' moments")
	only := flag.String("setup", "", "run the set-up of this `name` alone: "+names())
	binary := flag.String("weir", "", "the program to kill; empty: it is built")
	keep := flag.Bool("keep", false, "leave the directory with the tasks' logs")
	flag.Parse()

	dir, err := os.MkdirTemp("", "weir-chaos-")
	if err != nil {
		return err
	}
	if !*keep {
		defer os.RemoveAll(dir)
	}
	if *binary == "" {
		*binary = filepath.Join(dir, "weir")
		build := exec.Command("go", "build", "-o", *binary, "./cmd/weir")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build weir: %w", err)
		}
	}
	var chosen []setup
	for _, s := range setups {
		if *only == "" || *only == s.name {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no set-up is called %q", *only)
	}
	fmt.Printf("seed %d, in %s\n", *seed, dir)
	verdicts, errs := make([]verdict, len(chosen)), make([]error, len(chosen))
	var wg sync.WaitGroup
	for i, s := range chosen { // all at once: mostly they wait
		n := *kills / len(chosen)
		if i < *kills%len(chosen) {
			n++
		}
		if n == 0 {
			continue
		}
		wg.Go(func() {
			verdicts[i], errs[i] = s.run(filepath.Join(dir, s.name), *binary, n, *seed+uint64(i))
			if errs[i] != nil {
				errs[i] = fmt.Errorf("set-up %s, seed %d: %w (with -keep, the tasks' logs are in %s)", s.name, *seed, errs[i], dir)
				fmt.Println(errs[i]) // the others take their time
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	total := verdict{Seed: *seed}
	for _, v := range verdicts {
		total.add(v)
	}
	line, err := json.Marshal(&total)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	if !total.passes() {
		return fmt.Errorf("a bar is missed; -seed %d draws the same clients and moments", *seed)
	}
	return nil
}
