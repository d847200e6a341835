package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"time"

	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/waf"
)

// answerFlags are what the rules answer, and whom. A flag that is not given leaves
// what is there as it is.
type answerFlags struct {
	headers            []waf.Header
	body               *string
	captcha, challenge *time.Duration
	forwarded          waf.Forwarded
	position, fallback *string
}

func answerFlag(name string) bool {
	return strings.HasPrefix(name, "block-") || strings.HasPrefix(name, "forwarded-") || strings.HasSuffix(name, "-immunity")
}

func registerAnswer(fs *flag.FlagSet) *answerFlags {
	a := new(answerFlags)
	fs.Func("block-header", "`NAME: VALUE` that blocked clients are answered with; up to ten times, or once empty for none", func(line string) error {
		if line == "" {
			return nil
		}
		h, err := waf.ParseHeader(line)
		a.headers = append(a.headers, h)
		return err
	})
	a.body = fs.String("block-body", "", "`file` (.html, .json or other text, up to 4 KiB) that blocked clients are shown; empty for none")
	a.captcha = fs.Duration("captcha-immunity", 0, "how long a client that solved a puzzle is let pass, 1m to 72h (AWS: 5m)")
	a.challenge = fs.Duration("challenge-immunity", 0, "how long a client that passed a challenge is let pass, 5m to 72h (AWS: 5m)")
	fs.StringVar(&a.forwarded.Header, "forwarded-header", "", "`name` of the header with the client's address, for a distribution behind another proxy; empty for none")
	a.position = fs.String("forwarded-position", "last", "which of the addresses in it: `first|last|any`; any costs five times the capacity")
	a.fallback = fs.String("forwarded-fallback", "no_match", "whether a request without an address in it counts as banned: `match|no_match`")
	return a
}

// apply puts what was given into a configuration.
func (a *answerFlags) apply(fs *flag.FlagSet, cfg *waf.BootstrapConfig) error {
	given := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	cfg.CaptchaImmunity, cfg.ChallengeImmunity = *a.captcha, *a.challenge
	if given["block-header"] {
		cfg.BlockHeaders = append([]waf.Header{}, a.headers...)
	}
	if given["block-body"] {
		cfg.BlockBody = new(waf.Body)
		if *a.body != "" {
			content, err := os.ReadFile(*a.body)
			if err != nil {
				return err
			}
			if len(content) == 0 {
				return usageError("-block-body %s: the file is empty", *a.body)
			}
			cfg.BlockBody = &waf.Body{ContentType: bodyType(*a.body), Content: string(content)}
		}
	}
	if given["forwarded-header"] {
		a.forwarded.Position = waftypes.ForwardedIPPosition(strings.ToUpper(*a.position))
		a.forwarded.Fallback = waftypes.FallbackBehavior(strings.ToUpper(*a.fallback))
		cfg.Forwarded = &a.forwarded
	} else if given["forwarded-position"] || given["forwarded-fallback"] {
		return usageError("-forwarded-position and -forwarded-fallback need -forwarded-header")
	}
	return nil
}

func bodyType(file string) waftypes.ResponseContentType {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".html", ".htm":
		return waftypes.ResponseContentTypeTextHtml
	case ".json":
		return waftypes.ResponseContentTypeApplicationJson
	}
	return waftypes.ResponseContentTypeTextPlain
}

// checkRemoval refuses flags that say nothing together.
func checkRemoval(fs *flag.FlagSet, remove bool) error {
	removal := map[string]bool{"remove-sets": true, "force": true}
	making := map[string]bool{"create-web-acl": true, "sets": true}
	var wrong []string
	fs.Visit(func(f *flag.Flag) {
		if !remove && removal[f.Name] || remove && (making[f.Name] || answerFlag(f.Name)) {
			wrong = append(wrong, "-"+f.Name)
		}
	})
	switch {
	case len(wrong) == 0:
		return nil
	case remove:
		return usageError("%s says nothing with -remove", strings.Join(wrong, ", "))
	}
	return usageError("%s is for -remove", strings.Join(wrong, ", "))
}
