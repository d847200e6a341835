package awslocal

import "slices"

type splitShardInput struct {
	streamRef
	ShardToSplit       string
	NewStartingHashKey string
	StreamId           string
}

func (k *Kinesis) splitShard(in *splitShardInput) (any, error) {
	s, err := k.find(in.streamRef)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sh, err := s.openShardNamed(in.ShardToSplit)
	if err != nil {
		return nil, err
	}
	key, ok := parseHashKey([]byte(in.NewStartingHashKey))
	if !ok || !sh.keys.start.less(key) || sh.keys.end.less(key) {
		return nil, invalidNumber(in.NewStartingHashKey, "%.50q is not inside %s, which has %s to %s",
			in.NewStartingHashKey, sh.id, sh.startKey, sh.endKey)
	}
	s.replace(k.now(), []*shard{sh}, hashRange{sh.keys.start, key.prev()}, hashRange{key, sh.keys.end})
	return nil, nil
}

type mergeShardsInput struct {
	streamRef
	ShardToMerge         string
	AdjacentShardToMerge string
	StreamId             string
}

func (k *Kinesis) mergeShards(in *mergeShardsInput) (any, error) {
	s, err := k.find(in.streamRef)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.openShardNamed(in.ShardToMerge)
	if err != nil {
		return nil, err
	}
	b, err := s.openShardNamed(in.AdjacentShardToMerge)
	if err != nil {
		return nil, err
	}
	switch {
	case a.keys.meets(b.keys):
		s.replace(k.now(), []*shard{a, b}, hashRange{a.keys.start, b.keys.end})
	case b.keys.meets(a.keys):
		s.replace(k.now(), []*shard{a, b}, hashRange{b.keys.start, a.keys.end})
	default:
		return nil, invalidArgument("%s and %s are not neighbours", a.id, b.id)
	}
	return nil, nil
}

// openShardNamed finds a shard that can be resharded. The caller holds s.mu, so
// that it stays open.
func (s *stream) openShardNamed(id string) (*shard, error) {
	sh, err := s.shard(id)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(s.layout.Load().open, sh) {
		return nil, inUse("%s of stream %s is closed", sh.id, s.name)
	}
	return sh, nil
}

type updateShardCountInput struct {
	streamRef
	ScalingType      string
	TargetShardCount int
	StreamId         string
}

// updateShardCount splits at every border of the new layout that is none yet,
// then merges what lies between two of its borders. The service, too, passes
// through such shards when one count is no multiple of the other.
func (k *Kinesis) updateShardCount(in *updateShardCountInput) (any, error) {
	s, err := k.find(in.streamRef)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	current := len(s.layout.Load().open)
	switch target := in.TargetShardCount; {
	case in.ScalingType != "UNIFORM_SCALING":
		return nil, invalidShape("%.40q is no type of scaling", in.ScalingType)
	case target < 1 || target > 2*current || 2*target < current:
		return nil, invalidArgument("%d shards can become %d to %d, not %d", current, (current+1)/2, 2*current, target)
	}
	now := k.now()
	ranges := evenRanges(in.TargetShardCount)
	for _, keys := range ranges[1:] {
		if sh := s.layout.Load().at(keys.start); sh.keys.start != keys.start {
			s.replace(now, []*shard{sh}, hashRange{sh.keys.start, keys.start.prev()}, hashRange{keys.start, sh.keys.end})
		}
	}
	for _, keys := range ranges {
		for {
			a := s.layout.Load().at(keys.start)
			if a.keys.end == keys.end {
				break
			}
			b := s.layout.Load().at(a.keys.end.next())
			s.replace(now, []*shard{a, b}, hashRange{a.keys.start, b.keys.end})
		}
	}
	return struct {
		StreamName, StreamARN               string
		CurrentShardCount, TargetShardCount int
	}{s.name, s.arn, current, in.TargetShardCount}, nil
}
