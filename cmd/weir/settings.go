package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"weir/internal/agent"
	"weir/internal/api"
	"weir/internal/cloudfront"
	"weir/internal/config"
	"weir/internal/scenario"
	"weir/internal/seeded"
	"weir/internal/snapshot"
)

// loadSettings reads the settings of a command and has every package judge its
// own, so that all mistakes are told at once.
func loadSettings(l *config.Loader, w *world) (*config.Config, error) {
	l.Check(func(c *config.Config) error {
		_, err := cloudfront.ParseFields(c.Log.Fields)
		return err
	}, "WEIR_LOG_FIELDS")
	l.Check(func(c *config.Config) error {
		if c.API.Token == "" { // whether that will do, the settings judge themselves
			return nil
		}
		return api.CheckListen(c.API.Listen, c.API.Token)
	}, "WEIR_API_TOKEN", "WEIR_API_LISTEN")
	l.Check(func(c *config.Config) error { return snapshot.Check(c.State.Snapshot) }, "WEIR_STATE_SNAPSHOT")
	checkTargets(l, checkScenarios(l))
	cfg, err := l.Load(w.environ)
	if err != nil {
		return nil, &codedError{exitConfig, err}
	}
	return cfg, nil
}

// checkLists has it judged, for a command that reads the imported lists, whether
// they can be read.
func checkLists(l *config.Loader) {
	l.Check(func(c *config.Config) error {
		var errs []error
		for _, path := range c.Ban.Lists {
			f, err := os.Open(path)
			if err == nil {
				_, err = f.Read(make([]byte, 1))
				f.Close()
			}
			if err != nil && !errors.Is(err, io.EOF) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}, "WEIR_BAN_LISTS")
}

// checkScenarios has the scenarios read and compiled, where a command has the
// settings that say which they are. What it returns gives those that could be read,
// when checks that were added later are run.
func checkScenarios(l *config.Loader) func() []scenario.Scenario {
	var list []scenario.Scenario
	l.Check(func(c *config.Config) (err error) {
		if list, err = scenario.Load(c.Scenarios); err != nil {
			// What could be read may be wrong, too, and is not to wait for its turn.
			_, more := scenario.Compile(list, scenario.Options{})
			list = nil
			return distinctErrors(err, more)
		}
		return nil
	}, "WEIR_SCENARIOS")
	l.Check(func(c *config.Config) error {
		if list == nil {
			return nil
		}
		_, err := compile(list, c, nil, seeded.Seed{})
		return err
	})
	return func() []scenario.Scenario { return list }
}

// distinctErrors joins errors, each line once.
func distinctErrors(errs ...error) error {
	var lines []error
	seen := map[string]bool{}
	for _, err := range errs {
		if err == nil {
			continue
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !seen[line] {
				seen[line] = true
				lines = append(lines, errors.New(line))
			}
		}
	}
	return errors.Join(lines...)
}

// compileScenarios reads and compiles the scenarios that the settings say. Without
// crawlers, what was built in is known of them; without a seed, one is made.
func compileScenarios(cfg *config.Config, crawlers *agent.Directory, seed seeded.Seed) (*scenario.Set, error) {
	list, err := scenario.Load(cfg.Scenarios)
	if err != nil {
		return nil, err
	}
	return compile(list, cfg, crawlers, seed)
}

// compile applies the variables that tune scenarios first: what is off need not
// compile.
func compile(list []scenario.Scenario, cfg *config.Config, crawlers *agent.Directory, seed seeded.Seed) (*scenario.Set, error) {
	tuned, err := scenario.Tune(list, cfg.Scenario)
	if err != nil {
		return nil, err
	}
	if cfg.Ban.Stage {
		weaken(tuned, scenario.Stage)
	}
	if cfg.Ban.Simulate {
		weaken(tuned, scenario.Simulate)
	}
	return scenario.Compile(tuned, scenario.Options{BlockStatuses: blockStatuses(cfg), Crawlers: crawlers, Seed: seed})
}

// weaken has no scenario do more than one of the given mode does.
func weaken(list []scenario.Scenario, mode scenario.Mode) {
	for i := range list {
		list[i].Mode = max(list[i].Mode, mode)
	}
}

// readFields reads a field list from the command line: a list, or @FILE.
func readFields(list string) ([]cloudfront.Field, error) {
	if name, ok := strings.CutPrefix(list, "@"); ok {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("-fields: %w", err)
		}
		fields, err := cloudfront.ParseFields(string(b))
		if err != nil {
			return nil, fmt.Errorf("-fields: %s: %w", name, err)
		}
		return fields, nil
	}
	fields, err := cloudfront.ParseFields(list)
	if err != nil {
		return nil, fmt.Errorf("-fields: %w", err)
	}
	return fields, nil
}

// newLogger writes to out as the settings say.
func newLogger(cfg *config.Config, out io.Writer) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(cfg.Logger.Level)
	if err != nil {
		return nil, err
	}
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	enc.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(enc)
	if cfg.Logger.Format == "console" {
		enc.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		encoder = zapcore.NewConsoleEncoder(enc)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(out)), level)), nil
}

// runConfig prints every setting and where it came from.
func runConfig(_ context.Context, w *world) error {
	fs := newFlags(w, "config", "", "Prints every setting, its value and where it came from. Secrets are hidden.\nThe exit code is 78 when a setting is wrong.")
	loader := config.Register(fs)
	checkLists(loader)
	if err := parseFlags(fs, w); err != nil {
		return err
	}
	if err := noArguments(fs); err != nil {
		return err
	}
	cfg, err := loadSettings(loader, w)
	if err != nil {
		return err
	}
	return printSettings(w.stdout, cfg)
}
