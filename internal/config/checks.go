package config

import (
	"errors"
	"fmt"
	"strings"
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

// checkRole: tasks that count as one need what they have in common.
func checkRole(c *Config) error {
	if c.Role == "all" {
		return nil
	}
	var missing []string
	for _, need := range []struct{ name, value string }{
		{"WEIR_REKEY_STREAM, the stream between those who ingest and those who detect", c.Rekey.Stream},
		{"WEIR_BAN_TABLE, where all of them keep decisions", c.Ban.Table},
		{"WEIR_STATE_SNAPSHOT, where they keep what they hand over to each other", c.State.Snapshot},
	} {
		if need.value == "" {
			missing = append(missing, need.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("got %q, which needs %s", c.Role, strings.Join(missing, ", and "))
	}
	return nil
}

// checkRekey: leases of two streams have the same names.
func checkRekey(c *Config) error {
	switch {
	case c.Role == "all":
	case c.Rekey.LeaseTable == c.Kinesis.LeaseTable:
		return fmt.Errorf("got %q, want another table than WEIR_KINESIS_LEASE_TABLE", c.Rekey.LeaseTable)
	case c.Rekey.Stream == c.Kinesis.Stream:
		return fmt.Errorf("got %q for both WEIR_REKEY_STREAM and WEIR_KINESIS_STREAM, want a stream of its own", c.Rekey.Stream)
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
