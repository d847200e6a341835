// Package kinesis reads the real-time log stream: vmware-go-kcl-v2 behind an
// adapter that makes it keep the source's promise.
//
// The promise is the return value of the handle function: nil means that a
// batch is done with and may be checkpointed, an error means that the same
// batch is handled again, in place. Nothing is checkpointed past what was
// handled, no checkpoint moves back, and when Run returns nothing is in flight.
//
// KCL runs the event loop and a consumer for each shard. What it does not do
// safely it is not asked to do; it works on three things it is handed:
//
//   - a Kinesis client that never calls Kinesis (front.go). Listing shards waits
//     for a shard to take (board.go, and rules.go for which), getting records
//     paces, retries and obeys the stop signal (reader.go, fanout.go), pages are
//     decoded into memory that is used again (decode.go), and records travel
//     beside KCL, not through it (feed.go);
//   - a checkpointer whose methods answer from memory (checkpointer.go). Every
//     lease has one goroutine, and only that one writes its row (lease.go),
//     always under a condition (table.go);
//   - a processor that calls handle (processor.go).
//
// Who keeps state that has to stay in step with the stream has it copied between
// batches (resume.go, gate.go), says how far it is covered, and is asked where to go
// on from. While the history of what is kept is one line, each state following from
// the one before it, every record is counted once, whoever dies and whenever.
//
// What a worker needs to be allowed: kinesis:DescribeStreamSummary, ListShards,
// GetShardIterator and GetRecords on the stream, and with enhanced fan-out
// DescribeStreamConsumer, RegisterStreamConsumer and SubscribeToShard;
// dynamodb:Scan, GetItem, PutItem, UpdateItem and DeleteItem on the table.
package kinesis
