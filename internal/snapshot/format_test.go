package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// sections reads a file as Latest does: to its end first.
func sections(file []byte) (h Header, names []string, data [][]byte, err error) {
	in, _, err := open(bytes.NewReader(file))
	if err != nil {
		return h, nil, nil, err
	}
	defer in.dec.Close()
	if err = in.verify(); err != nil {
		return h, nil, nil, err
	}
	in, h, err = open(bytes.NewReader(file))
	if err != nil {
		return h, nil, nil, err
	}
	defer in.dec.Close()
	for {
		name, err := in.section()
		if err != nil || name == "" {
			return h, names, data, err
		}
		b, err := io.ReadAll(in)
		if err != nil {
			return h, names, data, err
		}
		names, data = append(names, name), append(data, b)
	}
}

func TestFormat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dice := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		h := Header{
			Written: time.Unix(dice.Int64N(1<<32), 0).UTC(), Stream: "logs", Seed: []byte("0123"),
			Positions: map[string]string{"a": "1", "b": "SHARD_END"},
		}
		var list []Section
		var names []string
		var want [][]byte
		for i := range rapid.IntRange(0, 4).Draw(t, "sections") {
			b := make([]byte, rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(maxPiece-2, 3*maxPiece)).Draw(t, "size"))
			for j := range b {
				b[j] = byte(dice.Uint32N(1 + uint32(i)*80)) // from what can be compressed to what cannot
			}
			name := fmt.Sprint("section", i)
			want, names = append(want, b), append(names, name)
			step := rapid.IntRange(1, len(b)+1).Draw(t, "step")
			list = append(list, Section{name, func(w io.Writer) error {
				for rest := b; len(rest) > 0; {
					n, err := w.Write(rest[:min(step, len(rest))])
					if err != nil {
						return err
					}
					rest = rest[n:]
				}
				return nil
			}})
			if len(b)/step > 10_000 {
				t.Skip("slow")
			}
		}
		var buf bytes.Buffer
		if err := write(&buf, h, list); err != nil {
			t.Fatal(err)
		}
		file := buf.Bytes()
		got, gotNames, data, err := sections(file)
		if err != nil || !reflect.DeepEqual(got, h) || !reflect.DeepEqual(gotNames, names) {
			t.Fatalf("%+v, %v: %v", got, gotNames, err)
		}
		for i := range data {
			if !bytes.Equal(data[i], want[i]) {
				t.Fatalf("section %d came back changed", i)
			}
		}
		// Any byte that is changed, and any that is missing or too many, is found.
		bad := bytes.Clone(file)
		bad[dice.IntN(len(bad))] ^= 1 << dice.IntN(8)
		for _, b := range [][]byte{bad, file[:dice.IntN(len(file))], append(bytes.Clone(file), 0)} {
			if _, _, _, err := sections(b); !errors.Is(err, ErrUnreadable) {
				t.Fatalf("a damaged file was read: %v", err)
			}
		}
	})
}

// Sections that are not read to their end, or not at all, are passed over.
func TestSectionsAreOptional(t *testing.T) {
	var buf bytes.Buffer
	long := string(bytes.Repeat([]byte("long "), maxPiece))
	if err := write(&buf, Header{}, []Section{text("one", long), text("two", long), text("three", "3")}); err != nil {
		t.Fatal(err)
	}
	in, _, err := open(&buf)
	if err != nil {
		t.Fatal(err)
	}
	defer in.dec.Close()
	var names []string
	for {
		name, err := in.section()
		if err != nil {
			t.Fatal(err)
		}
		if name == "" {
			break
		}
		names = append(names, name)
		if name == "two" {
			if _, err := io.ReadFull(in, make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if fmt.Sprint(names) != "[one two three]" {
		t.Error(names)
	}
}

func FuzzRead(f *testing.F) {
	var buf bytes.Buffer
	if err := write(&buf, Header{Stream: "logs"}, []Section{text("engine", "buckets"), text("learnt", "")}); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, _, _, err := sections(file); err != nil && !errors.Is(err, ErrUnreadable) {
			t.Errorf("error = %v", err)
		}
		// Without the check before it, too: what was damaged in between is not used.
		in, _, err := open(bytes.NewReader(file))
		if err != nil {
			return
		}
		defer in.dec.Close()
		for range 100 {
			if name, err := in.section(); err != nil || name == "" {
				return
			}
			_, _ = io.Copy(io.Discard, in)
		}
	})
}
