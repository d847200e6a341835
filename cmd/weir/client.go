package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strings"
	"time"

	"weir/internal/api"
	"weir/internal/config"
)

// client asks a running service over its API.
type client struct {
	base  string // "http://127.0.0.1:9180"
	token string // "" = none
}

// clientPatience is how long an answer may take: an unban of many is stored first.
const clientPatience = 2 * time.Minute

// clientFlags adds what every command has that asks a running service.
type clientFlags struct {
	fs     *flag.FlagSet
	loader *config.Loader
	api    *string
	json   *bool
}

func newClientFlags(w *world, name, args, about string) *clientFlags {
	fs := newFlags(w, name, args, about)
	return &clientFlags{
		fs: fs, loader: config.Register(fs, "api"),
		api:  fs.String("api", "", "`URL` of the service's API, as in http://10.0.0.7:9180; without it, where WEIR_API_LISTEN says on this machine"),
		json: fs.Bool("json", false, "print what the API answers"),
	}
}

// enter parses the command line, of which at most so many arguments may be left.
func (f *clientFlags) enter(w *world, most int) (*client, error) {
	if err := parseFlags(f.fs, w); err != nil {
		return nil, err
	}
	if err := atMost(f.fs, most); err != nil {
		return nil, err
	}
	cfg, err := loadSettings(f.loader, w)
	if err != nil {
		return nil, err
	}
	return newClient(*f.api, cfg)
}

// newClient makes a client of the service at a URL; empty: of this machine.
func newClient(service string, cfg *config.Config) (c *client, err error) {
	c = &client{base: strings.TrimRight(service, "/"), token: cfg.API.Token}
	if c.base == "" {
		c.base, err = localURL(cfg.API.Listen)
		return c, err
	}
	if u, err := url.Parse(c.base); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return nil, usageError("-api %q: want a URL like http://10.0.0.7:9180", service)
	}
	return c, nil
}

// localURL is where a service of this machine is reached that listens there.
func localURL(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", usageError("WEIR_API_LISTEN %q: %v", listen, err)
	}
	if port == "0" {
		return "", usageError("WEIR_API_LISTEN is %s, which is any port: say with -api where the service listens", listen)
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// call sends a request and reads its answer into answer.
func (c *client) call(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, clientPatience)
	defer cancel()
	var out io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			panic("BUG: a wish that is no JSON: " + err.Error())
		}
		out = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, out)
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if who := whoami(); who != "" {
		r.Header.Set(api.ActorHeader, who)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			return fmt.Errorf("no service answers at %s (%w): is it running there? Say where with -api", c.base, dial.Err)
		}
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.base, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return refusal(resp, raw)
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return fmt.Errorf("%s does not answer as a Weir does: %w", c.base, err)
	}
	return nil
}

// whoami is who runs the command, for the audit log: USER@HOST, as far as that is known.
func whoami() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	host, err := os.Hostname()
	if err != nil {
		return u.Username
	}
	return u.Username + "@" + host
}

// refusal is the error that the service gives, in its own words.
func refusal(resp *http.Response, raw []byte) error {
	var told struct {
		Error struct{ Message string }
	}
	if json.Unmarshal(raw, &told) != nil || told.Error.Message == "" {
		return fmt.Errorf("%s answers %s: is it a Weir of this version?", resp.Request.URL, resp.Status)
	}
	err := errors.New("the service says: " + told.Error.Message)
	if resp.StatusCode == http.StatusUnauthorized {
		return fmt.Errorf("%w (WEIR_API_TOKEN, WEIR_API_TOKEN_FILE or -api-token-file)", err)
	}
	return err
}
