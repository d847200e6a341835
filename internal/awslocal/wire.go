package awslocal

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"strconv"
)

// apiError is an AWS error on its way to the client.
type apiError struct {
	status  int    // HTTP status
	code    string // "__type"
	message string
	members map[string]any // further members of the error's shape; may be nil
	cause   error          // what was wrong, for the stand-in itself; may be nil
}

func (e *apiError) Error() string { return e.code + ": " + e.message }
func (e *apiError) Unwrap() error { return e.cause }

// fail makes an apiError. The message is what a client's log will show.
func fail(status int, code, format string, args ...any) *apiError {
	return &apiError{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// with adds a member to the error's shape.
func (e *apiError) with(member string, value any) *apiError {
	if e.members == nil {
		e.members = make(map[string]any)
	}
	e.members[member] = value
	return e
}

// firstError returns the first error that is not nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// serialization is AWS's answer to a body that is not the action's shape.
func serialization(err error) *apiError {
	e := fail(http.StatusBadRequest, "SerializationException", "%v", err)
	e.cause = err
	return e
}

// decode fills in from body and is strict: a member that the shape does not
// have is an error, since AWS would not know it either (or, worse, drop it).
func decode(body []byte, in any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(in); err != nil {
		return serialization(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return serialization(errors.New("something follows the JSON object"))
	}
	return nil
}

// writeJSON answers 200 with out. The content type is already set.
func writeJSON(w http.ResponseWriter, out any) {
	b, err := json.Marshal(out)
	if err != nil {
		panic("BUG: answer is not JSON: " + err.Error())
	}
	respond(w, http.StatusOK, b)
}

// respond answers with a body and its checksum, as DynamoDB does: the SDK's client
// for it takes a missing one for a damaged answer.
func respond(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone; there is nobody left to tell
}

// writeError answers with err, which is an *apiError or becomes a 500.
func writeError(w http.ResponseWriter, err error) {
	var e *apiError
	if !errors.As(err, &e) {
		e = fail(http.StatusInternalServerError, "InternalFailure", "%v", err)
	}
	if x, ok := w.(*exchange); ok {
		x.call.Code = e.code
	}
	switch w.Header().Get("Content-Type") {
	case xmlType:
		writeErrorXML(w, e)
		return
	case objectType:
		writeObjectError(w, e)
		return
	}
	out := map[string]any{"__type": e.code, "message": e.message}
	maps.Copy(out, e.members)
	b, err := json.Marshal(out)
	if err != nil {
		panic("BUG: error is not JSON: " + err.Error())
	}
	w.Header().Set("X-Amzn-Errortype", e.code)
	respond(w, e.status, b)
}

// reply answers with err, or with out if there is none. A nil out is "{}".
func reply(w http.ResponseWriter, out any, err error) {
	switch {
	case err != nil:
		writeError(w, err)
	case out == nil:
		writeJSON(w, struct{}{})
	default:
		writeJSON(w, out)
	}
}

// newID returns a random UUID (version 4) in lower case.
func newID() string { return idFrom(rand.Reader) }

// idFrom is newID by other dice.
func idFrom(dice io.Reader) string {
	var b [16]byte
	_, _ = dice.Read(b[:]) // neither kind ever fails, see their docs
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
