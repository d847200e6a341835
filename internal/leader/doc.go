// Package leader settles which of several tasks writes: one at a time, for as long
// as it holds a lease in DynamoDB, under an epoch that is greater than every one
// before it.
//
// The lease is one row of the lease table, under a key that no shard has. Every
// write has a condition, and no other machine's clock is trusted: a lease has run
// out when its row was looked at for as long as a lease lasts, without a gap, and
// did not change.
//
// Who holds the lease relies on it for less than that. After a pause, of which the
// process itself notices nothing, [Term.Confirm] asks the table before anything is
// done. While the table answers nobody, nobody can take the lease, and the holder
// goes on for a grace; it cannot tell a table that answers all others but not it, and
// for that case the epoch goes into everything that it writes.
package leader
