package ksefsim

import (
	"bytes"
	"compress/flate"
	"hash/crc32"
	"io"
	"sync"
)

// document is an invoice's XML, kept compressed: a hundred thousand of them
// have to fit in memory, and a package of them is made without compressing
// them again.
type document struct {
	deflated []byte // raw DEFLATE
	size     int    // of the XML, in bytes
	crc      uint32 // of the XML, as archives want it
}

var (
	deflaters = sync.Pool{New: func() any {
		w, _ := flate.NewWriter(nil, flate.BestSpeed) // fails for unknown levels only
		return w
	}}
	inflaters = sync.Pool{New: func() any { return flate.NewReader(nil) }}
)

// pack compresses an invoice's XML.
func pack(xml []byte) document {
	var b bytes.Buffer
	w, _ := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&b)
	_, _ = w.Write(xml) // a bytes.Buffer takes everything
	_ = w.Close()
	return document{deflated: bytes.Clone(b.Bytes()), size: len(xml), crc: crc32.ChecksumIEEE(xml)}
}

// bytes gives the XML as it was issued.
func (d document) bytes() []byte {
	r, _ := inflaters.Get().(io.ReadCloser)
	defer inflaters.Put(r)
	_ = r.(flate.Resetter).Reset(bytes.NewReader(d.deflated), nil) //nolint:errcheck // always one; never fails
	xml := make([]byte, d.size)
	_, _ = io.ReadFull(r, xml) // packed by pack
	return xml
}
