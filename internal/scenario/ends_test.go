package scenario

import (
	"strings"
	"testing"
)

// TestLongPaths: what stands in the first and the last segments of a path is found
// however long it is, and paths that differ anywhere are of different shapes.
func TestLongPaths(t *testing.T) {
	set, err := Compile(Catalogue(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := set.NewMatcher()
	facts := func(path string) uint64 { return m.readPath([]byte(path)) }
	shape := func(path string) [3]uint32 {
		v := &pathVerdict{hash: set.hasher.String(path), facts: facts(path)}
		m.shapes(v, []byte(path))
		return [3]uint32{v.shape, v.parent, v.top}
	}
	for _, n := range []int{0, 6, 50, 380, 500, 512, 600, 8000} {
		pad := strings.Repeat("/words", n/6)
		for path, fact := range map[string]uint64{
			"/wp-login.php" + pad: pathWPLogin, pad + "/.env": pathSecret, pad + "/a.css": pathStatic, "/xmlrpc.php" + pad: pathXMLRPC,
		} {
			short := strings.Replace(path, pad, "/x", 1)
			if facts(short)&fact != 0 && facts(path)&fact == 0 {
				t.Errorf("%s says less than %s", path, short)
			}
		}
	}
	word, token := strings.Repeat("/words", 1000), strings.Repeat("ab7-cde9f", 900)
	if a, b := shape("/a"+word+"/one"+word), shape("/a"+word+"/two"+word); a[0] == b[0] || a[2] != b[2] {
		t.Error("what only the middle tells apart is of one shape, or the first segment is not the same")
	}
	if shape("/a/"+token+"1"+token+"/x") != shape("/a/"+token+"2"+token+"/x") {
		t.Error("two tokens are of different shapes")
	}
}
