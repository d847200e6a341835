package filter

import "reflect"

const stringKind = reflect.String

// A fieldID names a field of evt that differs from record to record. Fields that are
// always the same text are one.
type fieldID uint8

const (
	fieldNone fieldID = iota // always ""

	// Of the path and the query together.
	fieldPath    // evt.Meta.http_path: all of it
	fieldRequest // evt.Parsed.request: up to the last '?'
	fieldDir     // evt.Parsed.file_dir
	fieldName    // evt.Parsed.file_name
	fieldFrag    // evt.Parsed.file_frag
	fieldExt     // evt.Parsed.file_ext
	fieldArgs    // evt.Parsed.http_args: behind the last '?'
	fieldArgsLen // evt.Meta.http_args_len: a number, "" when the path has no '/'
	fieldStatic  // evt.Parsed.static_ressource: "true" or "false"

	// Of one column each.
	fieldAgent
	fieldReferer
	fieldStatus
	fieldMethod
	fieldVersion
	fieldHost
	fieldAddress
	fieldASN
	fieldCountry

	numFields

	lastOfTarget = fieldStatic
)

var fieldNames = map[fieldID][]string{
	fieldPath:    {"Meta.http_path"},
	fieldRequest: {"Parsed.request"},
	fieldDir:     {"Parsed.file_dir"},
	fieldName:    {"Parsed.file_name"},
	fieldFrag:    {"Parsed.file_frag"},
	fieldExt:     {"Parsed.file_ext"},
	fieldArgs:    {"Parsed.http_args"},
	fieldArgsLen: {"Meta.http_args_len"},
	fieldStatic:  {"Parsed.static_ressource"},
	fieldAgent:   {"Parsed.http_user_agent", "Meta.http_user_agent"},
	fieldReferer: {"Parsed.http_referer"},
	fieldStatus:  {"Meta.http_status", "Parsed.status", "Parsed.sc_status"},
	fieldMethod:  {"Meta.http_verb", "Parsed.verb", "Parsed.cs_method"},
	fieldVersion: {"Parsed.http_version"},
	fieldHost:    {"Parsed.target_fqdn", "Parsed.x_host_header"},
	fieldAddress: {"Meta.source_ip", "Parsed.remote_addr", "Parsed.c_ip"},
	fieldASN:     {"Meta.ASNNumber", "Enriched.ASNNumber", "Enriched.ASNumber"},
	fieldCountry: {"Meta.IsoCode", "Enriched.IsoCode"},
}

var fieldsByName = func() map[string]fieldID {
	m := make(map[string]fieldID)
	for id, names := range fieldNames {
		for _, name := range names {
			m[name] = id
		}
	}
	for in, keys := range map[string][]string{"Meta": emptyMeta, "Parsed": emptyParsed, "Enriched": emptyEnriched} {
		for _, key := range keys {
			if _, ok := m[in+"."+key]; !ok {
				m[in+"."+key] = fieldNone
			}
		}
	}
	return m
}()

// fieldOf returns the field behind evt.<in>.<key>. It does not know those whose value
// is taken from the log as it is; those are the virtual machine's.
func fieldOf(in, key string) (fieldID, bool) {
	id, ok := fieldsByName[in+"."+key]
	return id, ok
}

// constFields are the fields that are the same text for every record.
var constFields = map[string]string{"Meta.service": "http", "Meta.log_type": "http_access-log"}
