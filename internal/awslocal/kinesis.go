package awslocal

import "net/http"

// KinesisConfig is the stand-in stream's settings.
type KinesisConfig struct{}

// kinesisActions are the actions that are routed to the stand-in.
var kinesisActions = []string{}

type kinesis struct{}

func newKinesis(Config) *kinesis { return &kinesis{} }

func (*kinesis) serve(w http.ResponseWriter, _ *http.Request, action string, _ []byte) {
	writeError(w, fail(http.StatusBadRequest, "UnknownOperationException", "no action %q", action))
}
