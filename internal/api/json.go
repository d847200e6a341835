package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// maxBody is how long the body of a request may be, in bytes.
const maxBody = 64 << 10

// failure is an error on its way to the client of the API.
type failure struct {
	status  int
	code    string
	message string
}

func (f *failure) Error() string { return f.message }

func badRequest(code, format string, args ...any) error {
	return &failure{http.StatusBadRequest, code, fmt.Sprintf(format, args...)}
}

func writeError(w http.ResponseWriter, status int, code, message string) {
	type detail struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	writeJSON(w, status, struct {
		Error detail `json:"error"`
	}{detail{code, message}})
}

// writeJSON answers with v. The encoder escapes <, > and &, so that nothing a
// client of the site has sent is taken for markup by who displays it.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("BUG: an answer that is no JSON: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n')) // an error means that nobody listens any more
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	writeError(w, http.StatusNotFound, "not_found", "there is nothing at this path")
}

func (m methods) allow() string {
	names := slices.Collect(maps.Keys(m))
	if _, ok := m[http.MethodGet]; ok {
		names = append(names, http.MethodHead)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// readJSON reads a body that is one JSON object with no keys but v's.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &failure{http.StatusUnsupportedMediaType, "content_type", "the body must be JSON: send the header Content-Type: application/json"}
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			return badRequest("json", "the body has something behind its JSON object: send one object")
		}
		return nil
	}
	var tooLong *http.MaxBytesError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &tooLong):
		return &failure{http.StatusRequestEntityTooLarge, "body", fmt.Sprintf("the body is longer than %d bytes", maxBody)}
	case errors.As(err, &kind):
		return badRequest("json", "%q must be a %s, not a %s", kind.Field, kind.Type, kind.Value)
	case errors.Is(err, io.EOF):
		return badRequest("json", "the body is empty: send a JSON object")
	}
	return badRequest("json", "the body is not the JSON object that is wanted here: %s", strings.TrimPrefix(err.Error(), "json: "))
}
