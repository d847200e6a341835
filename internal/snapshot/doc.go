// Package snapshot keeps states that have to outlive the process: in a directory, or
// below a prefix of an S3 bucket.
//
// Snapshots of one thing are a series. Their history is one line: each has the
// generation after the one that it follows from, and of two that would follow the
// same one the second is refused. So whoever was paused, cut off or replaced finds
// out when it wants to keep what it has, without any clock being asked.
//
// A file appears whole or not at all. What is in it is checked from the first byte
// to the last before any of it is used; one that is damaged, or of another format, is
// refused loudly and the one before it is taken.
package snapshot
