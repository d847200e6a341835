package config

import (
	"errors"
	"fmt"
)

// checkFailover: a worker looks at its lease between two reads only, so the
// lease has to outlast several of them.
func checkFailover(c *Config) error {
	const reads = 3
	if least := reads * c.Kinesis.Poll; c.Kinesis.Failover < least {
		return fmt.Errorf("got %q, want at least %s, which is %d times WEIR_KINESIS_POLL",
			formatDuration(c.Kinesis.Failover), formatDuration(least), reads)
	}
	return nil
}

// checkGrace: a ban ends when it says, give or take a little.
func checkGrace(c *Config) error {
	if c.WAF.ExpiryGrace > c.Ban.Duration {
		return fmt.Errorf("got %q, want no more than %s, which is WEIR_BAN_DURATION",
			formatDuration(c.WAF.ExpiryGrace), formatDuration(c.Ban.Duration))
	}
	return nil
}

// checkToken: whoever reaches the API can lift every ban.
func checkToken(c *Config) error {
	if c.API.Token == "" && !loopback(c.API.Listen) {
		return errors.New("not set, want one because WEIR_API_LISTEN is " + c.API.Listen + ", which other machines reach")
	}
	return nil
}

// ofPlain holds a rule about targets to the one that settings describe. Where a file
// lists targets, what fits one of them need not fit another.
func ofPlain(rule func(*Target) error) func(*Config) error {
	return func(c *Config) error {
		if t := c.plain(); c.WAF.Targets == "" {
			return rule(&t)
		}
		return nil
	}
}
