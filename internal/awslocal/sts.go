package awslocal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// STSConfig says who may take on which role.
type STSConfig struct {
	// Roles holds, by the ARN of a role, the external ID that it asks for; "" = it
	// asks for none. Nil: there is every role, and none asks for one.
	Roles map[string]string
}

// stsActions are all that the stand-in for STS serves.
var stsActions = []string{"AssumeRole"}

const stsVersion = "2011-06-15"

// security is the stand-in for STS. Unlike the others it speaks the query
// protocol: a form in, XML out.
type security struct {
	unlimited
	cfg Config
}

var (
	roleForm    = regexp.MustCompile(`^arn:aws[a-z-]*:iam::(\d{12}):role/[!-~]+$`)
	sessionForm = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
)

type stsCredentials struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      time.Time
}

func (s *security) carryOut(w http.ResponseWriter, r *http.Request, _ string, body []byte) {
	form, err := url.ParseQuery(string(body))
	role, session := form.Get("RoleArn"), form.Get("RoleSessionName")
	account := roleForm.FindStringSubmatch(role)
	noteResource(w, role)
	switch {
	case err != nil || account == nil || !sessionForm.MatchString(session) || form.Get("Version") != stsVersion:
		writeError(w, fail(http.StatusBadRequest, "ValidationError", "RoleArn, RoleSessionName or Version is not what it has to be"))
		return
	case !s.trusts(role, form.Get("ExternalId")):
		writeError(w, fail(http.StatusForbidden, "AccessDenied", "not authorized to perform: sts:AssumeRole on resource: %s", role))
		return
	}
	var answer struct {
		XMLName xml.Name       `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleResponse"`
		Creds   stsCredentials `xml:"AssumeRoleResult>Credentials"`
		User    struct {
			Arn           string
			AssumedRoleID string `xml:"AssumedRoleId"`
		} `xml:"AssumeRoleResult>AssumedRoleUser"`
	}
	key := roleKey(role)
	answer.Creds = stsCredentials{key, "secret", "token", s.cfg.Now().Add(time.Hour).UTC().Truncate(time.Second)}
	answer.User.Arn = "arn:aws:sts::" + account[1] + ":assumed-role/" + role[strings.LastIndexByte(role, '/')+1:] + "/" + session
	answer.User.AssumedRoleID = key + ":" + session
	writeXML(w, http.StatusOK, answer)
}

func (s *security) trusts(role, externalID string) bool {
	if s.cfg.STS.Roles == nil {
		return true
	}
	want, known := s.cfg.STS.Roles[role]
	return known && want == externalID
}

// roleKey is the access key of everybody who has taken on a role: a test sees by
// it with which role a call was made.
func roleKey(role string) string {
	sum := sha256.Sum256([]byte(role))
	return "ASIA" + strings.ToUpper(hex.EncodeToString(sum[:8]))
}

// writeErrorXML is writeError in the words of the query protocol.
func writeErrorXML(w http.ResponseWriter, e *apiError) {
	type detail struct{ Type, Code, Message string }
	writeXML(w, e.status, struct {
		XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Error   detail
	}{Error: detail{"Sender", e.code, e.message}})
}

func writeXML(w http.ResponseWriter, status int, v any) {
	body, err := xml.Marshal(v)
	if err != nil {
		panic("BUG: an answer that is no XML: " + err.Error())
	}
	w.WriteHeader(status)
	w.Write(body)
}
