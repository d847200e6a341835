package scenario

// ShieldOf returns the first scenario whose keys the same records shield for the same
// time as those of scenario i: what is remembered about a key for that one goes for all.
// It is i itself where there is no other, or no shield. The hit that says so may be that of
// any of them.
func (s *Set) ShieldOf(i int) int { return s.shields[i] }

// sharesShield settles ShieldOf of a scenario, whose buckets have the group. It reports
// whether the hits of an earlier one say all that its own would, so that it needs none:
// networks are shielded by most records, and from several scenarios alike.
func (c *compiler) sharesShield(index int, group key) bool {
	s := &c.set.scenarios[index]
	if s.Group.By == ByValue || group.value > 0 || len(s.files) > 0 {
		return false // its key, or what the filter says, is its own
	}
	for i := range index {
		o := &c.set.scenarios[i]
		if o.Mode == Off || len(o.files) > 0 || o.shield.text != s.shield.text || o.Shield != s.Shield || o.groupby.text != s.groupby.text {
			continue
		}
		c.set.shields[index] = min(c.set.shields[index], c.set.shields[i])
		if o.Group == s.Group {
			return true
		}
	}
	return false
}
