package kinesis

import (
	"cmp"
	"strings"

	chk "github.com/vmware/vmware-go-kcl-v2/clientlibrary/checkpoint"
)

// ShardEnd is the position of a shard that was read to its end.
const ShardEnd = chk.ShardEnd

const shardEnd = ShardEnd

// compareSequence orders checkpoints: "" (none yet) comes before every sequence
// number and shardEnd after. Sequence numbers are decimal and may differ in
// length, so comparing them as text would be wrong.
func compareSequence(a, b string) int {
	if r := cmp.Compare(sequenceRank(a), sequenceRank(b)); r != 0 {
		return r
	}
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

func sequenceRank(s string) int {
	switch s {
	case "":
		return 0
	case shardEnd:
		return 2
	default:
		return 1
	}
}
