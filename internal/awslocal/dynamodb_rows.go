package awslocal

import (
	"hash/fnv"
	"slices"

	"weir/internal/awslocal/expression"
)

// rowKey is where a row is: rows lie in the order of their hash keys' hashes,
// so that no client gets used to an order that DynamoDB does not promise, and
// under one hash key in the order of their sort keys.
type rowKey struct {
	place      uint64 // hash of the hash key
	hash, sort expression.Value
}

func newRowKey(hash, sort expression.Value) rowKey {
	h := fnv.New64a()
	_, _ = h.Write([]byte(hash.Text()))
	return rowKey{place: h.Sum64(), hash: hash, sort: sort}
}

type row struct {
	key  rowKey
	item expression.Item
	size int // bytes, as DynamoDB counts
}

// rows are a table's rows in their order.
type rows struct {
	sort expression.Key
	list []row
}

func (r *rows) compare(a, b rowKey) int {
	switch {
	case a.place < b.place:
		return -1
	case a.place > b.place:
		return 1
	}
	if c := expression.Compare(a.hash, b.hash); c != 0 || r.sort.Name == "" {
		return c
	}
	return expression.Compare(a.sort, b.sort)
}

// find returns where the row is, or would be.
func (r *rows) find(k rowKey) (at int, found bool) {
	return slices.BinarySearchFunc(r.list, k, func(row row, k rowKey) int { return r.compare(row.key, k) })
}

// get returns the item, nil if there is none.
func (r *rows) get(k rowKey) expression.Item {
	if at, ok := r.find(k); ok {
		return r.list[at].item
	}
	return nil
}

// put stores the item, or deletes it (nil).
func (r *rows) put(k rowKey, it expression.Item) {
	at, found := r.find(k)
	switch {
	case it == nil && found:
		r.list = slices.Delete(r.list, at, at+1)
	case it == nil:
	case found:
		r.list[at] = row{k, it, expression.ItemSize(it)}
	default:
		r.list = slices.Insert(r.list, at, row{k, it, expression.ItemSize(it)})
	}
}

// under returns the rows with a hash key, in the order of their sort keys.
func (r *rows) under(hash expression.Value) []row {
	k := newRowKey(hash, expression.Value{})
	prefix := rows{list: r.list} // without a sort key, all these rows compare as equal
	first, _ := prefix.find(k)
	n := 0
	for _, row := range r.list[first:] {
		if prefix.compare(row.key, k) != 0 {
			break
		}
		n++
	}
	return r.list[first : first+n]
}

func (r *rows) size() int {
	n := 0
	for _, row := range r.list {
		n += row.size
	}
	return n
}
