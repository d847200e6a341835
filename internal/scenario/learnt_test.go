package scenario

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"weir/internal/cloudfront"
	"weir/internal/seeded"
)

// emptySet learns, and has no scenarios.
func emptySet(t testing.TB, seed seeded.Seed) *Set {
	t.Helper()
	return seededSet(t, nil, seed)
}

func written(t testing.TB, s *Set) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.WriteLearnt(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestHitsGoOnWithWhatWasLearnt stops between two records: who goes on with what was
// learnt makes the hits that would have been made without the stop.
func TestHitsGoOnWithWhatWasLearnt(t *testing.T) {
	list, seed := Catalogue(), seeded.New()
	var records []*cloudfront.Record
	for i, r := range madeRecords(t, 11, 3000) {
		records = append(records, r)
		switch page := fmt.Sprintf("/page/%d", i%250); {
		case i%1000 < 250: // it is there, and gone later: a deployment that broke the site
			records = append(records, get(page, 200).record(t))
		case i%1000 >= 750:
			records = append(records, get(page, 404).record(t))
		}
	}
	through, stopped := seededSet(t, list, seed), seededSet(t, list, seed)
	one, next := through.NewMatcher(), stopped.NewMatcher()
	forgetful := seededSet(t, list, seed).NewMatcher()
	var got, want []Hit
	stops, forgot := 0, 0
	for i, r := range records {
		if i%1500 == 750 {
			text := written(t, stopped)
			stopped = seededSet(t, list, seed)
			if err := stopped.ReadLearnt(bytes.NewReader(text)); err != nil {
				t.Fatal(err)
			}
			next = stopped.NewMatcher()
			forgetful = seededSet(t, list, seed).NewMatcher()
			stops++
		}
		want, got = one.Match(r, want[:0]), next.Match(r, got[:0])
		if !slices.Equal(got, want) {
			t.Fatalf("record %d, %s: %+v, without a stop %+v", i, r.Path(), got, want)
		}
		if !slices.Equal(forgetful.Match(r, nil), want) {
			forgot++
		}
	}
	if stops == 0 || forgot == 0 {
		t.Errorf("after %d stops, what was learnt made a difference to %d records", stops, forgot)
	}
}

// TestLearntIsTheSameAfterwards asks a site and its heir the same, with so few places that
// they push each other out.
func TestLearntIsTheSameAfterwards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := &Set{site: newSite(), mark: 5}
		now := rapid.Int64Range(1, 600_000).Draw(t, "start") * hour
		act := func(sites ...*site) {
			now += rapid.Int64Range(-2*hour, 4*hour).Draw(t, "later")
			if now < 1 {
				now = 1
			}
			what := rapid.IntRange(0, 3).Draw(t, "what")
			path := 3<<40 | rapid.Uint64Range(1, 9).Draw(t, "path")<<hourBits
			length, ok := rapid.Uint64Range(0, 2).Draw(t, "length"), rapid.Bool().Draw(t, "ok")
			var said []bool
			for _, s := range sites {
				switch what {
				case 0:
					said = append(said, s.knows(path, now))
				case 1:
					if !s.renew(path, now) {
						s.learn(path, now)
					}
					said = append(said, true)
				case 2:
					for range 5 {
						s.isStandIn(path>>hourBits, length)
					}
					said = append(said, s.isStandIn(path>>hourBits, length))
				case 3:
					said = append(said, s.signIn(path>>hourBits, now, ok))
				}
			}
			if said[0] != said[len(said)-1] {
				t.Fatalf("question %d about %x at hour %d: %v", what, path, now/hour, said)
			}
		}
		for range rapid.IntRange(0, 30).Draw(t, "before") {
			act(a.site)
		}
		var text bytes.Buffer
		if err := a.WriteLearnt(&text); err != nil {
			t.Fatal(err)
		}
		b := &Set{site: newSite(), mark: 5}
		if err := b.ReadLearnt(&text); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 30).Draw(t, "after") {
			act(a.site, b.site)
		}
	})
}

func TestNewerIsKeptOfWhatTwoLearnt(t *testing.T) {
	const now = 500_000
	seed := seeded.New()
	a, b := emptySet(t, seed), emptySet(t, seed)
	path := func(i uint64) uint64 { return 9<<40 | i<<hourBits }
	a.site.learn(path(1), now*hour)
	b.site.learn(path(1), (now-20)*hour)
	a.site.learn(path(2), (now-20)*hour)
	b.site.learn(path(2), now*hour)
	b.site.learn(path(3), (now-5)*hour)
	a.site.signIn(1, 1000, true)
	b.site.signIn(1, 2000, true)
	a.site.signIn(2, 2000, true)
	b.site.signIn(2, 1000, true)
	for i := range 2 * pageSure {
		a.site.isStandIn(1, 10)
		if i < pageSure {
			b.site.isStandIn(1, 20)
			b.site.isStandIn(2, 30)
		}
	}
	ofA, ofB := written(t, a), written(t, b)
	if err := errors.Join(a.ReadLearnt(bytes.NewReader(ofB)), b.ReadLearnt(bytes.NewReader(ofA))); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*site{"first": a.site, "second": b.site} {
		for i, last := range map[uint64]int64{1: now, 2: now, 3: now - 5} {
			if !s.knows(path(i), (last+knownHours)*hour) || s.knows(path(i), (last+knownHours+1)*hour) {
				t.Errorf("%s: path %d was not there last at hour %d", name, i, last)
			}
		}
		for place := range 2 {
			if got := s.doors[place+1].Load(); got != 2000 {
				t.Errorf("%s: the last sign-in at %d was %d", name, place+1, got)
			}
		}
		if !s.isStandIn(1, 10) || !s.isStandIn(2, 30) {
			t.Errorf("%s: the surer page was lost", name)
		}
	}
	// Five later ones leave no room in the group for the first.
	full := emptySet(t, seed)
	for i := range uint64(siteWays) {
		full.site.learn(path(10+i), (now+1)*hour)
	}
	if err := full.ReadLearnt(bytes.NewReader(ofA)); err != nil {
		t.Fatal(err)
	}
	if full.site.knows(path(1), now*hour) || !full.site.knows(path(13), now*hour) {
		t.Error("an older path took the place of a newer one")
	}
}

func TestOnlyWhatMattersIsWritten(t *testing.T) {
	s := emptySet(t, seeded.New())
	if n := len(written(t, s)); n != learntHeader+learntSum {
		t.Errorf("of nothing, %d bytes", n)
	}
	const now = 500_000
	for i := range uint64(1000) {
		at := int64(now)
		switch {
		case i >= 900: // long gone
			at -= 49
		case i == 0: // a record from the future is no reason to forget the rest
			at += 1000
		}
		s.site.learn(i<<40|1<<hourBits, at*hour)
	}
	text := written(t, s)
	if got := binary.LittleEndian.Uint32(text[len(learntMagic)+8:]); got != 900 && got != 899 {
		t.Errorf("%d paths are written, of 900 that may be known", got)
	}
	_, closed := io.Pipe()
	closed.Close()
	if err := s.WriteLearnt(closed); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v", err)
	}
}

// resum gives what was changed a checksum that fits.
func resum(text []byte) []byte {
	body := text[:len(text)-learntSum]
	return binary.LittleEndian.AppendUint32(slices.Clone(body), crc32.Checksum(body, castagnoli))
}

// taught returns what a set has written that knows something of each kind.
func taught(t testing.TB, s *Set) []byte {
	t.Helper()
	for i := range uint64(3) {
		s.site.learn((i+1)<<40, 500_000*hour)
		s.site.isStandIn(i, 7)
		s.site.signIn(i, 500_000*hour, true)
	}
	return written(t, s)
}

func TestForeignBytesAreRefused(t *testing.T) {
	seed := seeded.Seed{1}
	good := taught(t, emptySet(t, seed))
	edit := func(at int, bytes ...byte) []byte {
		text := slices.Clone(good)
		copy(text[at:], bytes)
		return text
	}
	const counts, body = len(learntMagic) + 8, learntHeader
	const pages, doors = body + 3*learntPath, body + 3*learntPath + 3*learntPlaced
	for name, tt := range map[string]struct {
		text []byte
		want string
	}{
		"nothing":         {nil, "of a header of 36 bytes there are 0"},
		"short":           {good[:20], "of a header of 36 bytes there are 20"},
		"another file":    {bytes.Repeat([]byte("SQLite format 3\x00"), 9), `it begins with "SQLite format 3\x00"`},
		"another version": {edit(len(learntMagic)-3, '2'), "another version wrote it"},
		"another seed":    {taught(t, emptySet(t, seeded.Seed{2})), "learnt under another seed"},
		"many paths":      {resum(edit(counts, 0xff, 0xff, 0xff, 0xff)), "there is room for 262144"},
		"many pages":      {resum(edit(counts+4, 1, 0x10)), "there is room for"},
		"many doors":      {resum(edit(counts+8, 1, 4)), "there is room for"},
		"cut off":         {good[:len(good)-1], "of 88 bytes there are 87"},
		"cut early":       {good[:body], "of 88 bytes there are 0"},
		"more than there": {resum(edit(counts, 4)), "of 96 bytes there are 88"},
		"damaged":         {edit(body+3, 77), "its checksum is wrong"},
		"empty path":      {resum(edit(body, make([]byte, 8)...)), "a path is empty"},
		"no such page":    {resum(edit(pages, 0, 0x10)), "no such place or page"},
		"too sure a page": {resum(edit(pages+2, 200)), "no such place or page"},
		"no such door":    {resum(edit(doors, 0, 4)), "no such place or time"},
		"no such time":    {resum(edit(doors+9, 0x80)), "no such place or time"},
	} {
		s := emptySet(t, seed)
		before := written(t, s)
		err := s.ReadLearnt(bytes.NewReader(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
		if !bytes.Equal(written(t, s), before) {
			t.Errorf("%s: something was learnt of it", name)
		}
	}
	s := emptySet(t, seed)
	if err := s.ReadLearnt(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(good)))); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("error %v of a reader that fails", err)
	}
	behind := bytes.NewReader(append(slices.Clone(good), "next"...))
	if err := s.ReadLearnt(behind); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(behind); string(rest) != "next" {
		t.Errorf("left %q of what lies behind", rest)
	}
}

func FuzzReadLearnt(f *testing.F) {
	seed := seeded.Seed{1}
	good := taught(f, emptySet(f, seed))
	f.Add(good, false)
	f.Add(good[:len(good)-learntSum], true)
	f.Add(good[:learntHeader], true)
	f.Add([]byte("weir"), true)
	set := emptySet(f, seed)
	f.Fuzz(func(t *testing.T, text []byte, sum bool) {
		if sum {
			text = binary.LittleEndian.AppendUint32(text, crc32.Checksum(text, castagnoli))
		}
		if set.ReadLearnt(bytes.NewReader(text)) != nil {
			return
		}
		// What was read can be written, and read to the same.
		once := written(t, set)
		set.site = newSite()
		if err := set.ReadLearnt(bytes.NewReader(once)); err != nil {
			t.Fatal(err)
		}
		if again := written(t, set); !bytes.Equal(again, once) {
			t.Errorf("%x is read as %x", once, again)
		}
	})
}

// TestLearntBesideMatchers is for the race detector, and for what must be there in the end
// whoever was first.
func TestLearntBesideMatchers(t *testing.T) {
	seed := seeded.New()
	s, other := emptySet(t, seed), emptySet(t, seed)
	text := taught(t, other)
	var wait sync.WaitGroup
	for w := range uint64(2) {
		wait.Go(func() {
			for i := range uint64(2000) {
				s.site.learn((100+i)<<40|w<<hourBits, 500_000*hour)
				s.site.isStandIn(i, 5)
				s.site.signIn(i, 400_000*hour, true)
			}
		})
	}
	wait.Go(func() {
		for range 5 {
			if err := s.ReadLearnt(bytes.NewReader(text)); err != nil {
				t.Error(err)
			}
		}
	})
	wait.Go(func() {
		for range 5 {
			if err := emptySet(t, seed).ReadLearnt(bytes.NewReader(written(t, s))); err != nil {
				t.Error(err)
			}
		}
	})
	wait.Wait()
	for i := range uint64(3) {
		if !s.site.knows((i+1)<<40, 500_000*hour) {
			t.Errorf("path %d is not known", i)
		}
	}
}
