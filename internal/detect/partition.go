package detect

import "weir/internal/scenario"

// Partitions is into how many parts the keys of all buckets are dealt, where several tasks
// share them: always as many, however many tasks there are, so that a key's part never
// changes.
const Partitions = 1 << partitionBits

const partitionBits = 9

// PartitionOf returns the partition, 0 to Partitions-1, of what Partition says of a key.
func PartitionOf(partition uint64) int { return int(partition >> (64 - partitionBits)) }

// Partition returns the partition of whose buckets a Match is for, false if no Front, nor
// an Engine with these scenarios, has made it.
func (e *Engine) Partition(m *Match) (partition int, ok bool) {
	k, ok := e.keyOf(m)
	return PartitionOf(Partition(e.plan.hasher.hash(k))), ok
}

// keyOf returns the key that a Match is for.
func (e *Engine) keyOf(m *Match) (k key, ok bool) {
	client := m.Client()
	if !client.IsValid() || m.Addr.Is4() && m.Bits != 32 {
		return key{}, false
	}
	if !m.Apart {
		return e.plan.hasher.key(client), true
	}
	if len(m.Hits) == 0 || int(m.Hits[0].Scenario) >= len(e.limits) {
		return key{}, false
	}
	hit := &m.Hits[0]
	switch group := &e.limits[hit.Scenario].group; group.By {
	case scenario.ByValue:
		return key{addr: e.plan.values[hit.Scenario], group: hit.Group, family: familyValue}, true
	case scenario.ByRange:
		network, ok := networkOf(client, group)
		if !ok {
			return key{}, false
		}
		return e.plan.hasher.key(network), true
	}
	return key{}, false
}
