// Package config holds the settings of Weir: their names, defaults, allowed
// values and meaning, written down once, in [Config].settings. Parsing,
// checking, -help, what "weir config" prints and the table in README.md all
// come from there.
//
// WEIR_KINESIS_POLL stands for the flag -kinesis-poll; a flag wins over a
// variable, a variable over the default. White space around a value is dropped
// and a variable that is empty then is the same as one that is not set. Whatever
// is wrong is reported at once, so that a deployment fails one time and not five.
//
// It knows no other package: what only another package can judge, a command
// hands in with [Loader.Check].
package config

import (
	"net/netip"
	"time"
)

// Config is every setting, checked. Settings of sections that a command did not
// [Register] have their defaults.
type Config struct {
	Role string // "all", "ingest" or "detect"
	Log  struct {
		Fields string // of the real-time log: "all" or a list, to be read by package cloudfront
	}
	Kinesis struct {
		Stream     string // name or ARN
		LeaseTable string
		Worker     string // "" = the host name
		Start      Start
		Poll       time.Duration
		MaxRecords int
		Failover   time.Duration
		Fanout     string // consumer name; "" = polling
	}
	Rekey struct {
		Stream     string // name or ARN
		LeaseTable string
	}
	Detect struct {
		Shards     int // 0 = one for each core
		IPv6Prefix int // bits of the network that an IPv6 client is
	}
	State struct {
		Memory   int64         // bytes
		Snapshot string        // a directory or s3://bucket/prefix; to be judged by package snapshot; "" = none
		Owner    string        // account that the bucket belongs to; "" = it is not checked
		Interval time.Duration // between two snapshots
	}
	Scenarios []string // files and directories, and "builtin"; to be read by package scenario
	Crawlers  struct {
		Refresh bool
		DNS     bool
	}
	Ban struct {
		Duration  time.Duration
		Action    string
		Stage     bool
		Simulate  bool
		Allowlist []netip.Prefix // masked
		Lists     []string       // files
		Adopt     time.Duration
		Cooldown  time.Duration
		File      string
		Table     string // of DynamoDB; "" = none, File is used
		History   time.Duration

		BreakerPerMinute int     // 0 = any number
		BreakerShare     float64 // 0 to 1; 0 = no such breaker
	}
	WAF struct {
		Targets         string // a file; "" = the one target that the other fields describe: see Config.Targets
		Scope           string // "CLOUDFRONT" or "REGIONAL"
		Region          string // of scope REGIONAL; "" = that of the AWS configuration
		Sets            []string
		Role            string // ARN of a role to take on; "" = none
		ExternalID      string // that the role asks for; "" = none
		Session         string // name of the role's session
		Fallback        string // "block", "captcha", "challenge", "count" or "none"
		DryRun          bool
		WritesPerSecond float64
		ExpiryGrace     time.Duration
		Drift           time.Duration
		BlockStatus     int // an HTTP status
	}
	API struct {
		Listen string // host:port
		Token  string // "" = none is asked for
	}
	Logger struct {
		Level  string // "debug", "info", "warn" or "error"
		Format string // "json" or "console"
	}
	StopTimeout time.Duration

	// Scenario holds the WEIR_SCENARIO_* variables that are set, by name, as they
	// were given: package scenario knows what they may be.
	Scenario map[string]string

	values  []Value
	targets []Target // of the file WAF.Targets
}

// Start is where a stream is read from while no checkpoint says better.
type Start struct {
	Back   time.Duration // this long before now; 0 is from now on
	Oldest bool          // all that the stream still has; Back is not looked at
}

// A setting is one thing that can be set.
type setting struct {
	name string // of the variable, and through it of the flag and the section
	def  string // as one would write it; "" = none
	kind kind   // what it may be, and which field of a Config it fills
	doc  string // what it is, as the end of a sentence
}

const hour = time.Hour

// settings lists every setting, bound to the fields of c, in the order in which
// people should read them.
func (c *Config) settings() []setting {
	return []setting{
		{"WEIR_ROLE", "all", choice(&c.Role, "all", "ingest", "detect"), "what this task does: all; or, where several count as one, either ingest, which reads CloudFront's stream and sends on what scenarios match, or detect, which counts that"},

		{"WEIR_LOG_FIELDS", "all", text(&c.Log.Fields, "all, or a list of field names", "list"), "fields of the CloudFront real-time log configuration; their order does not matter"},

		{"WEIR_KINESIS_STREAM", "", stream(&c.Kinesis.Stream), "the stream that CloudFront writes its real-time log to"},
		{"WEIR_KINESIS_LEASE_TABLE", "weir-leases", table(&c.Kinesis.LeaseTable), "where leases and checkpoints are kept; one table for each stream"},
		{"WEIR_KINESIS_WORKER", "", worker(&c.Kinesis.Worker), "who holds a lease, for people who read the table: a random end is added, and without it the host name is taken"},
		{"WEIR_KINESIS_START", "2m", start(&c.Kinesis.Start), "how far back a stream without checkpoints is read"},
		{"WEIR_KINESIS_POLL", "200ms", duration(&c.Kinesis.Poll, 200*time.Millisecond, 10*time.Second), "time between two reads of a shard; Kinesis allows five a second, for all consumers together"},
		{"WEIR_KINESIS_MAX_RECORDS", "3000", whole(&c.Kinesis.MaxRecords, 1, 10_000), "records in one read of a shard"},
		{"WEIR_KINESIS_FAILOVER", "10s", duration(&c.Kinesis.Failover, 3*time.Second, 5*time.Minute), "how long the lease of a worker that has died outlives it"},
		{"WEIR_KINESIS_FANOUT", "", consumer(&c.Kinesis.Fanout), "consumer to register for enhanced fan-out; without it shards are polled"},

		{"WEIR_REKEY_STREAM", "", stream(&c.Rekey.Stream), "the stream between tasks that ingest and tasks that detect, for nothing else"},
		{"WEIR_REKEY_LEASE_TABLE", "weir-rekey-leases", table(&c.Rekey.LeaseTable), "where tasks that detect keep leases and checkpoints of that stream"},

		{"WEIR_DETECT_SHARDS", "0", whole(&c.Detect.Shards, 0, 256), "goroutines that clients are dealt to; 0 is one for each core"},
		{"WEIR_DETECT_IPV6_PREFIX", "64", whole(&c.Detect.IPv6Prefix, 48, 128), "bits of an IPv6 address that tell clients apart; all addresses that share them are one client, and are banned together"},
		{"WEIR_STATE_MEMORY", "512MiB", size(&c.State.Memory, 16*mebi, tebi), "memory for buckets, request ids and sample requests; what gives way when it is full is counted"},
		{"WEIR_STATE_SNAPSHOT", "", text(&c.State.Snapshot, "a directory, or s3://BUCKET/PREFIX", "place"), "where the state of the detection is kept, so that who takes over goes on with half-full buckets; without it they begin empty"},
		{"WEIR_STATE_INTERVAL", "10s", duration(&c.State.Interval, time.Second, 10*time.Minute), "time between two snapshots of the state; what was read since the latest one is read again after a crash"},
		{"WEIR_STATE_OWNER", "", account(&c.State.Owner), "account that the bucket of the snapshots has to belong to"},

		{"WEIR_SCENARIOS", "builtin", words(&c.Scenarios, "a list of directories and files separated by commas, with builtin for the catalogue above", "list"), "where scenarios are read from: YAML files in the form of the CrowdSec hub's"},
		{"WEIR_CRAWLERS_REFRESH", "true", yes(&c.Crawlers.Refresh), "whether the address ranges that operators of crawlers publish are fetched once a day; otherwise those stay that were built in"},
		{"WEIR_CRAWLERS_DNS", "true", yes(&c.Crawlers.DNS), "whether the DNS is asked if a client is the crawler that it says it is, where no published range tells"},

		{"WEIR_BAN_DURATION", "4h", duration(&c.Ban.Duration, time.Minute, 365*24*hour), "how long a ban lasts whose scenario does not say"},
		{"WEIR_BAN_ACTION", "block", choice(&c.Ban.Action, "block", "captcha", "challenge", "count"), "what is done about a client whose scenario does not say"},
		{"WEIR_BAN_STAGE", "false", yes(&c.Ban.Stage), "whether no scenario stops anybody: each of its decisions counts, and WAF labels the requests of the client; bans by hand, lists and what is in force go on"},
		{"WEIR_BAN_SIMULATE", "false", yes(&c.Ban.Simulate), "whether nobody is banned: every alert is raised and none becomes a decision, so that what a client does afterwards is judged, too"},
		{"WEIR_BAN_ALLOWLIST", "", prefixes(&c.Ban.Allowlist), "who is never banned"},
		{"WEIR_BAN_LISTS", "", words(&c.Ban.Lists, "a list of file names separated by commas", "list"), "files of addresses and networks to ban, one a line, with comments after #; they are read again when they change"},
		{"WEIR_BAN_BREAKER_PER_MINUTE", "10000", whole(&c.Ban.BreakerPerMinute, 0, 1_000_000), "new decisions of a scenario in a minute, twice as many of all together, beyond which further ones are held until weir release; 0 is any number"},
		{"WEIR_BAN_BREAKER_SHARE", "0.05", rate(&c.Ban.BreakerShare, 0, 1), "share of the clients that keep coming back that a scenario may ban in ten minutes, twice that of all together, before further decisions are held until weir release; 0 is all of them"},
		{"WEIR_BAN_ADOPT", "1h", duration(&c.Ban.Adopt, time.Minute, 365*24*hour), "how long an address stays that an IP set holds at start and the store does not know"},
		{"WEIR_BAN_COOLDOWN", "1h", duration(&c.Ban.Cooldown, 0, 7*24*hour), "how long no scenario bans a client again that a person took out of an IP set"},
		{"WEIR_BAN_FILE", "weir.db", text(&c.Ban.File, "a file name", "file"), "SQLite file that decisions are kept in"},
		{"WEIR_BAN_TABLE", "", table(&c.Ban.Table), "DynamoDB table that decisions are kept in, in place of the file; tasks that share it know what each of them decided"},
		{"WEIR_BAN_HISTORY", "720h", duration(&c.Ban.History, hour, 10*365*24*hour), "how long decisions are kept after their end"},

		{"WEIR_WAF_TARGETS", "", text(&c.WAF.Targets, "a file name", "file"), "YAML file that lists several targets to write bans to; what it leaves out of one is as the settings below say"},
		{"WEIR_WAF_SCOPE", "CLOUDFRONT", choice(&c.WAF.Scope, "CLOUDFRONT", "REGIONAL"), "scope of the web ACL and its IP sets"},
		{"WEIR_WAF_REGION", "", region(&c.WAF.Region), "region of the IP sets where the scope is REGIONAL; without it, that of AWS_REGION"},
		{"WEIR_WAF_SETS", "weir-", words(&c.WAF.Sets, "a list of name prefixes and ARNs separated by commas, each alone or as POOL=PREFIX", "list"), "IP sets that bans are written to; without POOL (block, captcha, challenge, count, list, list-captcha, ...) their names say what they are for"},
		{"WEIR_WAF_ROLE", "", role(&c.WAF.Role), "role to take on for calls of WAF, as for IP sets of another account"},
		{"WEIR_WAF_EXTERNAL_ID", "", externalID(&c.WAF.ExternalID), "external ID that the role asks for"},
		{"WEIR_WAF_SESSION", "weir", session(&c.WAF.Session), "name of the role's session, for people who read CloudTrail"},
		{"WEIR_WAF_FALLBACK", "block", fallback(&c.WAF.Fallback), "what is done about a client whose action no IP set is for; none: nothing, and it is counted"},
		{"WEIR_WAF_DRY_RUN", "false", yes(&c.WAF.DryRun), "whether no IP set is written: what would be, and when, is logged and shown by weir reconcile -diff"},
		{"WEIR_WAF_WRITES_PER_SECOND", "0.5", rate(&c.WAF.WritesPerSecond, 0.01, 1), "UpdateIPSet calls; AWS allows one a second, for all writers in the account and region together"},
		{"WEIR_WAF_EXPIRY_GRACE", "30s", duration(&c.WAF.ExpiryGrace, time.Second, hour), "how long an ended ban may stay in an IP set, so that one write removes many"},
		{"WEIR_WAF_DRIFT", "1m", duration(&c.WAF.Drift, 10*time.Second, hour), "time between two looks for what others have written to the IP sets"},
		{"WEIR_WAF_BLOCK_STATUS", "429", status(&c.WAF.BlockStatus), "status that the rule answers a banned client with, by which its records are known; nothing else should answer with it"},

		{"WEIR_API_LISTEN", "127.0.0.1:9180", listen(&c.API.Listen), "address of health, metrics and decisions over HTTP"},
		{"WEIR_API_TOKEN", "", secret(&c.API.Token), "bearer token that the API asks for; needed where it listens beyond this machine"},

		{"WEIR_LOGGER_LEVEL", "info", choice(&c.Logger.Level, "debug", "info", "warn", "error"), "least severe log lines to write"},
		{"WEIR_LOGGER_FORMAT", "json", choice(&c.Logger.Format, "json", "console"), "form of a log line"},
		{"WEIR_STOP_TIMEOUT", "20s", duration(&c.StopTimeout, 15*time.Second, 110*time.Second), "how long an orderly stop may take; the task's stopTimeout should be longer"},
	}
}
