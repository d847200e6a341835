package awslocal

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Config is what a [Server] is made from. The zero value works.
type Config struct {
	Now       func() time.Time // clock of quotas, fault windows and timestamps; nil = time.Now
	AccountID string           // twelve digits, part of every ARN; "" = 000000000000
	Region    string           // region of Kinesis and DynamoDB; "" = us-east-1

	WAF      WAFConfig
	DynamoDB DynamoDBConfig
	Kinesis  KinesisConfig
	STS      STSConfig
	S3       S3Config

	Faults *Faults     // nil = none; one script serves one Server
	OnCall func(Call)  // called after every call, on the call's goroutine; nil = none
	Logger *zap.Logger // told what is created and deleted; nil = silent
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.AccountID == "" {
		c.AccountID = "000000000000"
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	return c
}

// maxBody is the largest request that is read. Kinesis takes the largest ones:
// 10 MiB of records, a third more as base64, and their keys. S3 takes whatever a test
// has memory for.
const (
	maxBody   = 16 << 20 // bytes
	maxObject = 1 << 30
)

// service is one stand-in. It is handed only actions that are in its list, and
// must leave w alone after a method has returned.
type service interface {
	// admit notes that a call came, and tells whether it may be carried out. If
	// not, it has answered.
	admit(w http.ResponseWriter, r *http.Request, action string) bool
	// carryOut does what an admitted call asks for, and answers.
	carryOut(w http.ResponseWriter, r *http.Request, action string, body []byte)
}

// unlimited is a service whose calls are admitted whenever they come.
type unlimited struct{}

func (unlimited) admit(http.ResponseWriter, *http.Request, string) bool { return true }

// A route says how requests for one service are known.
type route struct {
	name    string // as in SigV4 scopes and fault scripts
	prefix  string // of X-Amz-Target, with the dot; "" = the action is in a form
	actions []string
	service service
}

// serve answers one call, unless it must not be carried out.
func (rt *route) serve(w http.ResponseWriter, r *http.Request, action string, body []byte) {
	if rt.service.admit(w, r, action) {
		rt.service.carryOut(w, r, action, body)
	}
}

// Server is the stand-ins behind one handler. It may be used by any number of
// goroutines, starts none (but for calls that [FaultLate] carries out) and needs no
// closing.
type Server struct {
	cfg    Config
	routes []*route
	faults *Faults
	calls  callLog

	kinesis *Kinesis
	waf     *WAF
}

// New makes a server with no streams, tables or sets in it.
func New(cfg Config) *Server {
	cfg = cfg.withDefaults()
	s := &Server{cfg: cfg, faults: cfg.Faults, kinesis: newKinesis(cfg), waf: newWAF(cfg)}
	if s.faults == nil {
		s.faults = NewFaults(0)
	}
	s.faults.start(cfg.Now)
	s.routes = []*route{
		{name: serviceKinesis, prefix: "Kinesis_20131202.", actions: kinesisActions, service: s.kinesis},
		{name: serviceDynamoDB, prefix: "DynamoDB_20120810.", actions: dynamoActions, service: newDynamo(cfg)},
		{name: serviceWAF, prefix: "AWSWAF_20190729.", actions: wafActions, service: s.waf},
		{name: serviceSTS, actions: stsActions, service: &security{cfg: cfg}},
		{name: serviceS3, actions: objectActions, service: newObjects(cfg)},
	}
	return s
}

// Faults is the server's fault script, to which rules may be added while it runs.
func (s *Server) Faults() *Faults { return s.faults }

// WAF gives access to the web ACLs and IP sets without a request.
func (s *Server) WAF() *WAF { return s.waf }

// ServeHTTP answers one AWS request. Like net/http it may panic with
// http.ErrAbortHandler, when the fault script cuts the connection.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, readErr := readBody(r)
	rt, action, err := s.find(r, body)
	if err == nil {
		err = checkSignature(r, rt.name)
	}
	w.Header().Set("Content-Type", responseType(r))
	w.Header().Set("X-Amzn-Requestid", newID())
	if err = firstError(err, readErr); err != nil {
		writeError(w, err)
		return
	}
	x := &exchange{ResponseWriter: w, call: Call{Service: rt.name, Action: action, Key: signedWith(r), At: s.cfg.Now()}}
	// Deferred, since a cut connection leaves by a panic and is a call, too.
	defer func() { s.note(x.call) }()
	s.faults.serve(x, r, rt, action, body)
}

// note tells of a call whoever wants to know.
func (s *Server) note(c Call) {
	s.calls.add(c)
	if c.changesWhatThereIs() {
		s.cfg.Logger.Info("changed", zap.String("service", c.Service), zap.String("action", c.Action), zap.String("resource", c.Resource))
	}
	if s.cfg.OnCall != nil {
		s.cfg.OnCall(c)
	}
}

// find tells service and action from the target header, or from a form.
func (s *Server) find(r *http.Request, body []byte) (*route, string, error) {
	if isObject(r) {
		action, err := objectAction(r)
		return s.routes[len(s.routes)-1], action, err
	}
	if r.Method != http.MethodPost {
		return nil, "", fail(http.StatusMethodNotAllowed, "UnknownOperationException", "AWS actions are sent with POST")
	}
	target := r.Header.Get("X-Amz-Target")
	if isForm(r) {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, "", fail(http.StatusBadRequest, "MalformedQueryString", "the form cannot be read: %v", err)
		}
		target = form.Get("Action")
	}
	for _, rt := range s.routes {
		action, ok := strings.CutPrefix(target, rt.prefix)
		ok = ok && isForm(r) == (rt.prefix == "")
		if !ok {
			continue
		}
		if slices.Contains(rt.actions, action) {
			return rt, action, nil
		}
		return nil, "", fail(http.StatusBadRequest, "UnknownOperationException", "the %s stand-in has no action %q", rt.name, action)
	}
	return nil, "", fail(http.StatusBadRequest, "UnknownOperationException", "no stand-in for target %q", target)
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	most := int64(maxBody)
	if isObject(r) {
		most = maxObject
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, fail(http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "a request may have %d bytes", most)
	case err != nil:
		return nil, fail(http.StatusBadRequest, "SerializationException", "the body ended early: %v", err)
	}
	return body, nil
}

// isObject reports whether a request is for S3, which has no other mark.
func isObject(r *http.Request) bool {
	_, scoped := signedFor(r)
	return scoped == serviceS3
}

// isForm reports whether a request is of the query protocol.
func isForm(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), formType)
}

const (
	formType = "application/x-www-form-urlencoded"
	xmlType  = "text/xml" // of its answers

	objectType = "application/xml" // of S3's
)

// responseType answers in the JSON version that was asked in.
func responseType(r *http.Request) string {
	if isObject(r) {
		return objectType
	}
	if isForm(r) {
		return xmlType
	}
	if t := r.Header.Get("Content-Type"); strings.HasPrefix(t, "application/x-amz-json-") {
		return t
	}
	return "application/x-amz-json-1.1"
}

// checkSignature wants a SigV4 credential scope that names the service. The
// signature itself is not checked: any key will do. A request signed for
// another service is a mistake in a client's settings that AWS refuses.
func checkSignature(r *http.Request, service string) error {
	_, scoped := signedFor(r)
	switch scoped {
	case service:
		return nil
	case "":
		return fail(http.StatusForbidden, "MissingAuthenticationTokenException", "the request is not signed")
	default:
		return fail(http.StatusForbidden, "InvalidSignatureException", "credential should be scoped to correct service: '%s'", service)
	}
}

// signedFor returns region and service of the request's credential scope
// (Credential=KEY/DATE/REGION/SERVICE/aws4_request), or empty strings.
func signedFor(r *http.Request) (region, service string) {
	part := credentialOf(r)
	if len(part) < 5 { // a key may itself hold slashes, so count from the end
		return "", ""
	}
	return part[len(part)-3], part[len(part)-2]
}

// signedWith returns the access key of the credential scope, or an empty string.
func signedWith(r *http.Request) string {
	part := credentialOf(r)
	if len(part) < 5 {
		return ""
	}
	return strings.Join(part[:len(part)-4], "/")
}

// credentialOf takes the credential scope of a request apart.
func credentialOf(r *http.Request) []string {
	_, rest, ok := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if !ok {
		return nil
	}
	credential, _, _ := strings.Cut(rest, ",")
	return strings.Split(strings.TrimSpace(credential), "/")
}
