package awslocal

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"hash/crc32"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// S3Config says how S3 behaves.
type S3Config struct {
	Buckets []string // that are there from the start
	Page    int      // most keys in one answer, 1 to 1000; 0 = 1000
}

// objectActions are all that the stand-in for S3 serves.
var objectActions = []string{"CreateBucket", "ListObjectsV2", "GetObject", "PutObject", "DeleteObject"}

// objects is the stand-in for S3. It speaks REST with XML, and knows requests by
// their credential scope.
type objects struct {
	unlimited
	cfg Config

	mu      sync.Mutex
	buckets map[string]map[string]object
}

type object struct {
	data []byte
	kind string // content type
	at   time.Time
}

func newObjects(cfg Config) *objects {
	s := &objects{cfg: cfg, buckets: make(map[string]map[string]object)}
	for _, name := range cfg.S3.Buckets {
		s.buckets[name] = make(map[string]object)
	}
	return s
}

// objectPath returns bucket and key, from a host that begins with the bucket or from
// a path that does.
func objectPath(r *http.Request) (bucket, key string) {
	rest := strings.TrimPrefix(r.URL.Path, "/")
	if host, _, ok := strings.Cut(cmp.Or(r.Host, r.URL.Host), ".s3."); ok {
		return host, rest
	}
	bucket, key, _ = strings.Cut(rest, "/")
	return bucket, key
}

// objectAction tells what a request for S3 asks for.
func objectAction(r *http.Request) (string, error) {
	bucket, key := objectPath(r)
	q := r.URL.Query()
	switch {
	case bucket == "":
	case key == "" && r.Method == http.MethodPut && len(q) == 0:
		return "CreateBucket", nil
	case key == "" && r.Method == http.MethodGet && q.Get("list-type") == "2":
		return "ListObjectsV2", nil
	case key != "" && (len(q) == 0 || len(q) == 1 && q.Has("x-id")):
		switch r.Method {
		case http.MethodGet:
			return "GetObject", nil
		case http.MethodPut:
			return "PutObject", nil
		case http.MethodDelete:
			return "DeleteObject", nil
		}
	}
	return "", fail(http.StatusNotImplemented, "NotImplemented", "the S3 stand-in does not serve %s %s", r.Method, r.URL.RequestURI())
}

func (s *objects) carryOut(w http.ResponseWriter, r *http.Request, action string, body []byte) {
	bucket, key := objectPath(r)
	noteResource(w, bucket)
	s.mu.Lock()
	defer s.mu.Unlock()
	held, ok := s.buckets[bucket]
	switch {
	case r.Header.Get("X-Amz-Expected-Bucket-Owner") != "" && r.Header.Get("X-Amz-Expected-Bucket-Owner") != s.cfg.AccountID:
		writeError(w, fail(http.StatusForbidden, "AccessDenied", "Access Denied"))
	case action == "CreateBucket" && ok:
		writeError(w, fail(http.StatusConflict, "BucketAlreadyOwnedByYou", "there is a bucket %s", bucket))
	case action == "CreateBucket":
		s.buckets[bucket] = make(map[string]object)
		w.Header().Set("Location", "/"+bucket)
		w.WriteHeader(http.StatusOK)
	case !ok:
		writeError(w, fail(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist"))
	case action == "ListObjectsV2":
		s.list(w, r, bucket, held)
	case action == "GetObject":
		s.get(w, r, held, key)
	case action == "PutObject":
		s.put(w, r, held, key, body)
	case action == "DeleteObject":
		delete(held, key)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (o object) etag() string {
	sum := md5.Sum(o.data)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func (s *objects) get(w http.ResponseWriter, r *http.Request, held map[string]object, key string) {
	o, ok := held[key]
	switch {
	case !ok:
		writeError(w, fail(http.StatusNotFound, "NoSuchKey", "The specified key does not exist."))
		return
	case r.Header.Get("Range") != "" || r.Header.Get("If-Match") != "" || r.Header.Get("If-None-Match") != "":
		writeError(w, fail(http.StatusNotImplemented, "NotImplemented", "GetObject of a part or under a condition is not served"))
		return
	}
	h := w.Header()
	h.Set("Content-Type", o.kind)
	h.Set("Content-Length", strconv.Itoa(len(o.data)))
	h.Set("ETag", o.etag())
	h.Set("Last-Modified", o.at.UTC().Format(http.TimeFormat))
	if r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" {
		h.Set("X-Amz-Checksum-Crc32", checksumCRC(crc32.NewIEEE(), o.data))
		h.Set("X-Amz-Checksum-Type", "FULL_OBJECT")
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(o.data) // the client may be gone
}

func (s *objects) put(w http.ResponseWriter, r *http.Request, held map[string]object, key string, body []byte) {
	data, err := objectBody(r, body)
	if err != nil {
		writeError(w, err)
		return
	}
	_, exists := held[key]
	switch r.Header.Get("If-None-Match") {
	case "":
	case "*":
		if exists {
			writeError(w, fail(http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"))
			return
		}
	default:
		writeError(w, fail(http.StatusNotImplemented, "NotImplemented", "If-None-Match can only be *"))
		return
	}
	o := object{slices.Clone(data), cmp.Or(r.Header.Get("Content-Type"), "binary/octet-stream"), s.cfg.Now()}
	held[key] = o
	w.Header().Set("ETag", o.etag())
	w.WriteHeader(http.StatusOK)
}

// list answers with keys in ascending order, those behind a delimiter as one.
func (s *objects) list(w http.ResponseWriter, r *http.Request, bucket string, held map[string]object) {
	type content struct {
		Key          string
		LastModified time.Time
		ETag         string
		Size         int
		StorageClass string
	}
	type common struct{ Prefix string }
	var answer struct {
		XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
		Name, Prefix          string
		KeyCount, MaxKeys     int
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []content
		CommonPrefixes        []common
	}
	q := r.URL.Query()
	if err := knownQuery(q); err != nil {
		writeError(w, err)
		return
	}
	most := cmp.Or(s.cfg.S3.Page, 1000)
	if n, err := strconv.Atoi(q.Get("max-keys")); err == nil && n > 0 {
		most = min(most, n)
	}
	prefix, delimiter, after := q.Get("prefix"), q.Get("delimiter"), q.Get("continuation-token")
	answer.Name, answer.Prefix, answer.MaxKeys = bucket, prefix, most
	last := ""
	for _, key := range slices.Sorted(maps.Keys(held)) {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		group := ""
		if i := strings.Index(rest, delimiter); delimiter != "" && i >= 0 {
			group = prefix + rest[:i+len(delimiter)]
		}
		name := cmp.Or(group, key)
		if name <= after || name == last {
			continue
		}
		if answer.KeyCount == most {
			answer.IsTruncated, answer.NextContinuationToken = true, last
			break
		}
		last = name
		answer.KeyCount++
		if group != "" {
			answer.CommonPrefixes = append(answer.CommonPrefixes, common{group})
			continue
		}
		o := held[key]
		answer.Contents = append(answer.Contents, content{key, o.at.UTC().Truncate(time.Second), o.etag(), len(o.data), "STANDARD"})
	}
	writeXML(w, http.StatusOK, answer)
}

func knownQuery(q url.Values) error {
	for name := range q {
		switch name {
		case "list-type", "prefix", "delimiter", "continuation-token", "max-keys", "x-id":
		default:
			return fail(http.StatusNotImplemented, "NotImplemented", "ListObjectsV2 with %s is not served", name)
		}
	}
	return nil
}

// writeObjectError is writeError in S3's words.
func writeObjectError(w http.ResponseWriter, e *apiError) {
	writeXML(w, e.status, struct {
		XMLName                  xml.Name `xml:"Error"`
		Code, Message, RequestID string
	}{Code: e.code, Message: e.message, RequestID: w.Header().Get("X-Amzn-Requestid")})
}
