package main

import (
	"bytes"
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFlagsBehindArguments(t *testing.T) {
	for line, want := range map[string]string{
		"":                       "",
		"a":                      "|a",
		"-text x a":              "x|a",
		"a -text x":              "x|a",
		"a -text=x b --yes c":    "x yes|a b c",
		"a b":                    "|a b",
		"-":                      "|-",
		"- -yes":                 "yes|-",
		"-- -yes":                "|-yes",
		"a -- -yes b":            "|a -yes b",
		"a -yes -- -text":        "yes|a -text",
		"-text x a -text y":      "y|a",
		"a -text - b":            "-|a b",
		"a -no":                  "error",
		"a b -text":              "error",
		"a -help":                "help",
		"a -text -help -- -help": "-help|a -help",
	} {
		var out bytes.Buffer
		fs := newFlags(&world{stderr: &out}, "test", "", "")
		text, yes := fs.String("text", "", ""), fs.Bool("yes", false, "")
		err := parseFlags(fs, &world{args: strings.Fields(line), stdout: &out})
		got := *text
		if *yes {
			got = strings.TrimSpace(got + " yes")
		}
		if got += "|" + strings.Join(fs.Args(), " "); got == "|" {
			got = ""
		}
		var coded *codedError
		switch {
		case errors.Is(err, flag.ErrHelp):
			got = "help"
		case errors.As(err, &coded) && coded.code == exitUsage && out.Len() > 0:
			got = "error"
		case err != nil:
			t.Errorf("%q: %v", line, err)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// Wherever flags stand among arguments, it is as if they had come first.
func TestFlagsAnywhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		arguments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "-", "", "x y"}), 0, 4).Draw(rt, "arguments")
		flags := rapid.SliceOfN(rapid.SampledFrom([][]string{{"-text", "x"}, {"-text=y"}, {"--yes"}, {"-text", "-yes"}}), 0, 4).Draw(rt, "flags")
		var mixed []string
		left := slices.Clone(arguments)
		for _, f := range flags {
			n := rapid.IntRange(0, len(left)).Draw(rt, "before")
			mixed = append(append(mixed, left[:n]...), f...)
			left = left[n:]
		}
		mixed = append(mixed, left...)
		parse := func(args []string) (string, bool, []string) {
			fs := newFlags(&world{stderr: new(bytes.Buffer)}, "test", "", "")
			text, yes := fs.String("text", "", ""), fs.Bool("yes", false, "")
			if err := parseFlags(fs, &world{args: args}); err != nil {
				rt.Fatalf("%q: %v", args, err)
			}
			return *text, *yes, fs.Args()
		}
		text, yes, got := parse(mixed)
		wantText, wantYes, _ := parse(slices.Concat(flags...))
		if text != wantText || yes != wantYes || !slices.Equal(got, arguments) {
			rt.Fatalf("%q: %q, %t, %q", mixed, text, yes, got)
		}
	})
}
