// Command weir reads the requests that CloudFront serves from a Kinesis stream,
// finds the clients that attack and bans them in AWS WAF.
//
// Every command is a function of a context, the world it may see (arguments,
// environment, streams) and nothing else; only main knows the process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"text/tabwriter"
)

// Exit codes of every command.
const (
	exitOK      = 0
	exitFailed  = 1  // it ran and did not succeed
	exitUsage   = 2  // the command line is wrong
	exitDiffers = 3  // it ran, and what was asked about is not as it should be
	exitConfig  = 78 // the settings are wrong (EX_CONFIG of sysexits.h); nothing was started
)

// world is what a command may see of the process.
type world struct {
	args    []string // after the command's name
	environ []string
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
}

type command struct {
	name, args, summary string
	run                 func(context.Context, *world) error
}

var commands = []command{
	{"run", "", "run the service", runService},
	{"demo", "", "see it work: stand-ins, made traffic and the service in one process", runDemo},
	{"replay", "FILE|- ...", "run log files through detection, without AWS", runReplay},
	{"scenarios", "[NAME ...]", "list the scenarios that are loaded; `weir scenarios test [DIR ...]` tests them", runScenarios},
	{"explain", "LINE|-", "tell what detection makes of a record, or of a file of them, and why", runExplain},
	{"bootstrap", "", "make the tables, the IP sets, the rule group and the web ACL rule; or remove them", runBootstrap},
	{"panic", "on|off|status", "stop enforcing all bans at once, without the service; or start again", runPanic},
	{"reconcile", "", "show what the IP sets hold and should not, or the other way round; have it set right", runReconcile},
	{"flush", "", "unban many at once", runFlush},
	{"release", "[SCENARIO]", "close circuit breakers, and release or drop what they held", runRelease},
	{"allowlist", "[list | add PREFIX | remove PREFIX]", "show or change who is never banned", runAllowlist},
	{"audit", "", "show who did what", runAudit},
	{"alerts", "[ID]", "show what was raised, and one alert with its requests", runAlerts},
	{"config", "", "print every setting and where it came from", runConfig},
	{"local", "", "run stand-ins for Kinesis, DynamoDB, S3, WAF and STS on a port", runLocal},
	{"version", "", "print the version", runVersion},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, &world{
		args: os.Args[1:], environ: os.Environ(),
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
	}))
}

// run does what the arguments say and returns the exit code.
func run(ctx context.Context, w *world) int {
	if len(w.args) == 0 {
		usage(w.stderr)
		return exitUsage
	}
	name := w.args[0]
	if name == "help" || name == "-h" || name == "-help" || name == "--help" {
		usage(w.stdout)
		return exitOK
	}
	for _, c := range commands {
		if c.name == name {
			w.args = w.args[1:]
			return report(w, name, c.run(ctx, w))
		}
	}
	fmt.Fprintf(w.stderr, "weir: no command %q; `weir help` lists them\n", name)
	return exitUsage
}

// report says what went wrong and gives the exit code for it.
func report(w *world, name string, err error) int {
	var coded *codedError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, &coded):
		if coded.err != nil {
			for line := range strings.SplitSeq(coded.err.Error(), "\n") {
				fmt.Fprintf(w.stderr, "weir %s: %s\n", name, line)
			}
		}
		return coded.code
	default:
		fmt.Fprintf(w.stderr, "weir %s: %v\n", name, err)
		return exitFailed
	}
}

// codedError is an error with an exit code of its own; without an err it was
// told already.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *codedError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &codedError{exitUsage, fmt.Errorf(format, args...)}
}

// newFlags is the flag set of one command. A mistake in it is told by flag
// itself, with the command's usage.
func newFlags(w *world, name, args, about string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(w.stderr)
	fs.Usage = func() {
		fmt.Fprintf(fs.Output(), "usage: weir %s\n\n%s\n\n", strings.TrimSpace(name+" [flags] "+args), about)
		fs.PrintDefaults()
	}
	return fs
}

// parseFlags parses the command's arguments; -help goes to standard output. Flags may
// come behind arguments, too: what follows "--" are arguments, whatever it looks like.
func parseFlags(fs *flag.FlagSet, w *world) error {
	for _, a := range w.args {
		if a == "-h" || a == "-help" || a == "--help" {
			fs.SetOutput(w.stdout)
		}
	}
	arguments := []string{"--"}
	for rest := w.args; ; {
		if err := fs.Parse(rest); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return err
			}
			return &codedError{exitUsage, nil}
		}
		flags := rest[:len(rest)-fs.NArg()]
		rest = fs.Args()
		if len(rest) == 0 || len(flags) > 0 && flags[len(flags)-1] == "--" {
			arguments = append(arguments, rest...)
			break
		}
		arguments, rest = append(arguments, rest[0]), rest[1:]
	}
	return fs.Parse(arguments) // fs.Args are those alone
}

// atMost refuses more arguments than that.
func atMost(fs *flag.FlagSet, most int) error {
	if fs.NArg() > most {
		return usageError("unexpected argument %q", fs.Arg(most))
	}
	return nil
}

// noArguments refuses all.
func noArguments(fs *flag.FlagSet) error { return atMost(fs, 0) }

func usage(out io.Writer) {
	fmt.Fprint(out, "Weir bans attackers in AWS WAF by what CloudFront's logs show, as it happens.\n\nusage: weir COMMAND [flags]\n\n")
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range commands {
		fmt.Fprintf(tw, "  %s\t%s\n", strings.TrimSpace(c.name+" "+c.args), c.summary)
	}
	tw.Flush()
	fmt.Fprint(out, "\n`weir COMMAND -help` shows a command's flags. Every flag that is a setting is also a variable: -kinesis-stream is WEIR_KINESIS_STREAM.\n")
}

func runVersion(_ context.Context, w *world) error {
	fmt.Fprintln(w.stdout, "weir", version())
	return nil
}

// version is what the Go command recorded when it built the binary.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v == "(devel)" {
			v = s.Value
		}
	}
	return v + " " + info.GoVersion
}
