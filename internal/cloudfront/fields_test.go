package cloudfront

import "testing"

func TestSmoke(t *testing.T) {
	fs, err := ParseFields("all")
	if err != nil || len(fs) != 71 {
		t.Fatal(err, len(fs))
	}
	_, err = ParseFields("c-ipp, timestamp timestamp,all")
	t.Log(err)
}
