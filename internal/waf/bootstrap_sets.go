package waf

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

// ParseSetCounts reads how many IP sets each pool has, as in
// "block=2/1,count=1/1": two for IPv4 and one for IPv6, one and one. Without the
// second number there are none for IPv6.
func ParseSetCounts(text string) (map[string]SetCount, error) {
	counts := make(map[string]SetCount)
	for field := range strings.SplitSeq(text, ",") {
		word, numbers, ok := strings.Cut(strings.TrimSpace(field), "=")
		if _, known := keyOf(word); !ok || !known {
			return nil, fmt.Errorf("%q: want POOL=IPV4/IPV6, where POOL is one of %s", field, strings.Join(PoolWords(), ", "))
		}
		if _, twice := counts[word]; twice {
			return nil, fmt.Errorf("%q: pool %s is named twice", field, word)
		}
		four, six, both := strings.Cut(numbers, "/")
		if !both {
			six = "0"
		}
		v4, err4 := strconv.ParseUint(four, 10, 8)
		v6, err6 := strconv.ParseUint(six, 10, 8)
		if err4 != nil || err6 != nil {
			return nil, fmt.Errorf("%q: want numbers of IP sets, as in %s=2/1", field, word)
		}
		counts[word] = SetCount{int(v4), int(v6)}
	}
	return counts, nil
}

// poolSet is an IP set of ours: one whose name says so.
type poolSet struct {
	word    string
	family  family
	number  int
	summary types.IPSetSummary
}

// short is the family in the names of sets.
func (f family) short() string { return [...]string{"v4", "v6"}[f] }

func nameOfSet(prefix, word string, f family, number int) string {
	return fmt.Sprintf("%s%s-%s-%d", prefix, word, f.short(), number)
}

// poolSets lists the IP sets of our names, in the order of pools, families and
// numbers.
func (o *operator) poolSets(ctx context.Context) ([]poolSet, error) {
	list, err := all(func(marker *string) ([]types.IPSetSummary, *string, error) {
		out, err := call(ctx, o, o.client.ListIPSets, &wafv2.ListIPSetsInput{Scope: o.scope, NextMarker: marker, Limit: aws.Int32(100)})
		if err != nil {
			return nil, nil, err
		}
		return out.IPSets, out.NextMarker, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list IP sets: %w", err)
	}
	form := regexp.MustCompile(`^` + regexp.QuoteMeta(o.prefix) + `(` + strings.Join(PoolWords(), "|") + `)-v([46])-(0|[1-9]\d{0,5})$`)
	var ours []poolSet
	for _, s := range list {
		m := form.FindStringSubmatch(aws.ToString(s.Name))
		if m == nil {
			continue
		}
		f := ipv4
		if m[2] == "6" {
			f = ipv6
		}
		number, err := strconv.Atoi(m[3])
		if err != nil {
			panic("BUG: six digits are no number")
		}
		ours = append(ours, poolSet{m[1], f, number, s})
	}
	words := PoolWords()
	slices.SortFunc(ours, func(a, b poolSet) int {
		if a.word != b.word {
			return slices.Index(words, a.word) - slices.Index(words, b.word)
		}
		if a.family != b.family {
			return int(a.family) - int(b.family)
		}
		return a.number - b.number
	})
	return ours, nil
}

// ipSets makes the sets that are missing, and gives the ARNs of all by pool.
func (b *bootstrap) ipSets(ctx context.Context) (refs map[string][]string, err error) {
	have, err := b.poolSets(ctx)
	if err != nil {
		return nil, err
	}
	var want []poolSet
	for _, word := range PoolWords() {
		for f := range families {
			n := b.cfg.Sets[word].IPv4
			if f == ipv6 {
				n = b.cfg.Sets[word].IPv6
			}
			there := slices.DeleteFunc(slices.Clone(have), func(s poolSet) bool { return s.word != word || s.family != f })
			for i := range n {
				if !slices.ContainsFunc(there, func(s poolSet) bool { return s.number == i }) {
					there = append(there, poolSet{word: word, family: f, number: i})
				}
			}
			slices.SortFunc(there, func(a, b poolSet) int { return a.number - b.number })
			want = append(want, there...)
		}
	}
	if len(want) > references {
		return nil, fmt.Errorf("there would be %d IP sets named %s...: a rule group can refer to %d", len(want), b.prefix, references)
	}
	refs = make(map[string][]string)
	for _, s := range want {
		arn, err := b.ipSet(ctx, s)
		if err != nil {
			return nil, err
		}
		refs[s.word] = append(refs[s.word], arn)
	}
	return refs, nil
}

// ipSet keeps or makes one set, and gives its ARN.
func (b *bootstrap) ipSet(ctx context.Context, s poolSet) (string, error) {
	name := nameOfSet(b.prefix, s.word, s.family, s.number)
	if s.summary.Id != nil {
		out, err := call(ctx, b.operator, b.client.GetIPSet, &wafv2.GetIPSetInput{Id: s.summary.Id, Name: &name, Scope: b.scope})
		if err != nil {
			return "", fmt.Errorf("get IP set %s: %w", name, err)
		}
		if is, _ := familyFrom(out.IPSet.IPAddressVersion); is != s.family {
			return "", fmt.Errorf("IP set %s is there and of version %s", name, out.IPSet.IPAddressVersion)
		}
		arn := aws.ToString(s.summary.ARN)
		b.report.SetARNs = append(b.report.SetARNs, arn)
		b.did("IP set", name, arn, Kept, "")
		return arn, nil
	}
	if b.dryRun {
		b.did("IP set", name, "", Created, "")
		return "the ARN of " + name, nil
	}
	version := types.IPAddressVersionIpv4
	if s.family == ipv6 {
		version = types.IPAddressVersionIpv6
	}
	b.wrote["IP set"+name] = intent{Created, ""}
	out, err := call(ctx, b.operator, b.client.CreateIPSet, &wafv2.CreateIPSetInput{
		Name: &name, Scope: b.scope, IPAddressVersion: version,
		Addresses: []string{}, Description: aws.String(description{}.String()), // as if a Writer had emptied it
	})
	if err != nil {
		return "", fmt.Errorf("create IP set %s: %w", name, err)
	}
	arn := aws.ToString(out.Summary.ARN)
	b.report.SetARNs = append(b.report.SetARNs, arn)
	b.did("IP set", name, arn, Created, "")
	return arn, nil
}
