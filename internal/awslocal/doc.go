// Package awslocal holds stand-ins for the AWS services that Weir talks to:
// Kinesis, DynamoDB and WAFv2, S3 for snapshots, and STS for the roles that a target
// may ask for, behind one [http.Handler] that tells them apart by X-Amz-Target and the
// credential scope. They serve the
// demo, `weir local` (any AWS client, over a port) and the tests (the SDK over
// [Server.HTTPClient], without a port).
//
// A stand-in is stricter than it is complete: what it serves, it checks as AWS
// does or harder, so that a request AWS would refuse is refused here first, and
// what it does not serve is an error rather than a shrug. State is in memory
// only. Trouble is made to order by a fault script, see [Faults].
package awslocal
