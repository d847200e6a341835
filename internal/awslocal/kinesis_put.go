package awslocal

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"unicode/utf8"
)

// putRequest is a PutRecord or PutRecords on its way. It is pooled, since a
// producer at full speed makes thousands of them a second.
type putRequest struct {
	streamRef
	given   putMembers // of the request itself
	records []putRecord
	entries []putEntry
	answer  []byte
}

// putRecord is a record as it was given, not yet checked.
type putRecord struct {
	given   putMembers
	data    []byte // canonical base64; nil = none
	size    int    // bytes of data
	key     []byte // partition key as the inside of a JSON string
	keyText []byte // partition key itself
	hashKey []byte // ExplicitHashKey; nil = none
}

// putMembers notes which members an object had. A member given twice is a
// mistake: JSON does not say which of the two counts.
type putMembers uint8

const (
	memberRecords putMembers = 1 << iota
	memberStreamName
	memberStreamARN
	memberData
	memberKey
	memberHashKey
)

// note adds a member, and makes c bad when it was there before.
func (m *putMembers) note(c *jsonCursor, member putMembers) {
	c.bad = c.bad || *m&member != 0
	*m |= member
}

var putRequests = sync.Pool{New: func() any { return new(putRequest) }}

// release gives p back to the pool, without the body that it points into.
func (p *putRequest) release() {
	clear(p.records)
	clear(p.entries)
	*p = putRequest{records: p.records[:0], entries: p.entries[:0], answer: p.answer[:0]}
	putRequests.Put(p)
}

// decodeMany reads the body of PutRecords.
func (p *putRequest) decodeMany(body []byte) error {
	c := jsonCursor{text: body}
	c.open('{')
	for name, ok := c.member(); ok; name, ok = c.member() {
		if string(name) != "Records" {
			p.reference(&c, string(name))
			continue
		}
		p.given.note(&c, memberRecords)
		if c.null() {
			continue
		}
		for c.open('['); c.more(']'); {
			var rec putRecord
			c.open('{')
			for name, ok := c.member(); ok; name, ok = c.member() {
				if !rec.member(&c, string(name)) {
					c.bad = true
				}
			}
			p.records = append(p.records, rec)
		}
	}
	if !c.done() {
		return serialization(errJSON)
	}
	return nil
}

// decodeOne reads the body of PutRecord.
func (p *putRequest) decodeOne(body []byte) error {
	var rec putRecord
	c := jsonCursor{text: body}
	c.open('{')
	for name, ok := c.member(); ok; name, ok = c.member() {
		if !rec.member(&c, string(name)) {
			p.reference(&c, string(name))
		}
	}
	if !c.done() {
		return serialization(errJSON)
	}
	p.records = append(p.records, rec)
	return nil
}

// reference takes a member that is not about a record. Those that change
// nothing here are passed over, any other one is a mistake.
func (p *putRequest) reference(c *jsonCursor, name string) {
	switch name {
	case "StreamName":
		p.given.note(c, memberStreamName)
		p.StreamName = string(c.value())
	case "StreamARN":
		p.given.note(c, memberStreamARN)
		p.StreamARN = string(c.value())
	case "StreamId", "DryRun", "SequenceNumberForOrdering":
		c.skip()
	default:
		c.bad = true
	}
}

// member takes a member of a record. It returns false, and takes nothing, when
// records have none of that name.
func (r *putRecord) member(c *jsonCursor, name string) bool {
	switch name {
	case "Data":
		r.given.note(c, memberData)
		if !c.null() {
			r.data, r.size = c.data()
		}
	case "PartitionKey":
		r.given.note(c, memberKey)
		if c.null() {
			return true
		}
		text, plain := c.string()
		r.key, r.keyText = text, text
		if !plain || !isCleanText(text) {
			r.keyText = c.unquote(text)
			quoted, err := json.Marshal(string(r.keyText))
			if err != nil {
				panic("BUG: a string is not JSON: " + err.Error())
			}
			r.key = quoted[1 : len(quoted)-1]
		}
	case "ExplicitHashKey":
		r.given.note(c, memberHashKey)
		r.hashKey = c.value()
	default:
		return false
	}
	return true
}

// check turns the records into what shards take, or says what is wrong with
// the whole request. Like the service it takes all records of a request or none.
func (p *putRequest) check(maxRecord int) error {
	total := 0
	for i := range p.records {
		r := &p.records[i]
		e := putEntry{data: r.data, key: r.key, size: r.size + len(r.keyText)}
		switch length := utf8.RuneCount(r.keyText); {
		case r.data == nil:
			return invalidShape("record %d has no data", i+1)
		case length == 0 || length > maxKeyLength:
			return invalidShape("record %d: a partition key has 1 to %d characters, this one %d", i+1, maxKeyLength, length)
		case e.size > maxRecord:
			return invalidShape("record %d has %d bytes of data and key, %d are allowed", i+1, e.size, maxRecord)
		}
		e.hash = hashOf(r.keyText)
		if r.hashKey != nil {
			var ok bool
			if e.hash, ok = parseHashKey(r.hashKey); !ok {
				return invalidNumber(string(r.hashKey), "record %d: %.50q is no hash key between 0 and 2^128 - 1", i+1, r.hashKey)
			}
		}
		total += e.size
		p.entries = append(p.entries, e)
	}
	switch n := len(p.records); {
	case n == 0 || n > maxPutRecords:
		return invalidShape("a request has 1 to %d records, this one %d", maxPutRecords, n)
	case total > maxPutBytes && n > 1:
		return invalidArgument("a request may have %d bytes of data and keys, this one has %d", maxPutBytes, total)
	}
	return nil
}

func (k *Kinesis) servePutRecords(w http.ResponseWriter, _ *http.Request, body []byte) {
	p := putRequests.Get().(*putRequest)
	defer p.release()
	if err := p.decodeMany(body); err != nil {
		writeError(w, err)
		return
	}
	s, err := k.open(w, p.streamRef)
	if err == nil {
		err = p.check(s.maxRecord)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	out := append(p.answer, `{"Records":[`...)
	now, failed := k.now(), 0
	for i := range p.entries {
		if i > 0 {
			out = append(out, ',')
		}
		sh, q, ok := s.put(&p.entries[i], now)
		if !ok {
			failed++
			out = append(out, `{"ErrorCode":"ProvisionedThroughputExceededException","ErrorMessage":"`...)
			out = append(out, k.rateExceeded(sh)...)
			out = append(out, `"}`...)
			continue
		}
		out = append(out, `{"SequenceNumber":"`...)
		out = q.append(out)
		out = append(out, `","ShardId":"`...)
		out = append(out, sh.id...)
		out = append(out, `"}`...)
	}
	out = append(out, `],"FailedRecordCount":`...)
	out = strconv.AppendInt(out, int64(failed), 10)
	out = append(out, '}')
	p.answer = out
	writeParts(w, out)
}

func (k *Kinesis) servePutRecord(w http.ResponseWriter, _ *http.Request, body []byte) {
	p := putRequests.Get().(*putRequest)
	defer p.release()
	if err := p.decodeOne(body); err != nil {
		writeError(w, err)
		return
	}
	s, err := k.open(w, p.streamRef)
	if err == nil {
		err = p.check(s.maxRecord)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	sh, q, ok := s.put(&p.entries[0], k.now())
	if !ok {
		writeError(w, throughputExceeded(k.rateExceeded(sh)))
		return
	}
	writeJSON(w, struct{ SequenceNumber, ShardId string }{q.String(), sh.id})
}
