package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"weir/internal/api"
	"weir/internal/cloudfront"
	"weir/internal/config"
	"weir/internal/scenario"
	"weir/internal/waf"

	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

// loadSettings reads the settings of a command and has every package judge its
// own, so that all mistakes are told at once.
func loadSettings(l *config.Loader, w *world) (*config.Config, error) {
	l.Check(func(c *config.Config) error {
		_, err := cloudfront.ParseFields(c.Log.Fields)
		return err
	}, "WEIR_LOG_FIELDS")
	l.Check(func(c *config.Config) error {
		_, err := waf.ParseSets(c.WAF.Sets, waftypes.Scope(c.WAF.Scope))
		return err
	}, "WEIR_WAF_SETS", "WEIR_WAF_SCOPE")
	l.Check(func(c *config.Config) error {
		return api.CheckListen(c.API.Listen, c.API.Token)
	}, "WEIR_API_TOKEN", "WEIR_API_LISTEN")
	l.Check(func(c *config.Config) error {
		_, err := scenario.Tune(scenario.Catalogue(), c.Scenario)
		return err
	})
	cfg, err := l.Load(w.environ)
	if err != nil {
		return nil, &codedError{exitConfig, err}
	}
	return cfg, nil
}

// compileScenarios is the catalogue with the settings applied to it.
func compileScenarios(cfg *config.Config) (*scenario.Set, error) {
	list, err := scenario.Tune(scenario.Catalogue(), cfg.Scenario)
	if err != nil {
		return nil, err
	}
	return scenario.Compile(list, scenario.Options{BlockStatus: uint16(cfg.WAF.BlockStatus)})
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
