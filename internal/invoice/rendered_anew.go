package invoice

import (
	"bytes"
	"encoding/xml"
	"regexp"
	"slices"
)

// renderingTimePath leads to the time at which the XML was made. It says nothing about the invoice, and a program that keeps no XML writes a new one each time it
// is asked for it.
var renderingTimePath = []string{"Faktura", "Naglowek", "DataWytworzeniaFa"}

// xsdDateTime is the lexical form of xsd:dateTime, as far as a rendering time may differ and still be one: a text that is no time is a difference like any other.
var xsdDateTime = regexp.MustCompile(`^[ \t\r\n]*[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,12})?(Z|[+-][0-9]{2}:[0-9]{2})?[ \t\r\n]*$`)

// SameApartFromRenderingTime tells whether two FA(3) documents are the same invoice, perhaps written to XML at two different times: every byte is equal, apart
// from the text of the first Naglowek/DataWytworzeniaFa, which must be a time in both. Nothing else is forgiven, neither white space nor the order of attributes:
// what KSeF holds and what is asked about must be one and the same to the taxpayer. Documents in which that element cannot be found are the same only if they are
// equal byte by byte.
func SameApartFromRenderingTime(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	fromA, toA, ok := renderingTime(a)
	if !ok {
		return false
	}
	fromB, toB, ok := renderingTime(b)
	return ok && bytes.Equal(a[:fromA], b[:fromB]) && bytes.Equal(a[toA:], b[toB:])
}

// renderingTime finds the text of Faktura/Naglowek/DataWytworzeniaFa. It reads no further than that, and expands nothing. Prefixes do not matter: what stands before
// and after the text is compared byte by byte, so both documents mean the same element.
func renderingTime(data []byte) (from, to int, ok bool) {
	decoder := xml.NewDecoder(bytes.NewReader(data))
	path := []string{} // local names of the open elements
	for {
		token, err := decoder.RawToken()
		if err != nil {
			return 0, 0, false
		}
		switch token := token.(type) {
		case xml.Directive:
			return 0, 0, false // a DOCTYPE: no invoice
		case xml.StartElement:
			if path = append(path, token.Name.Local); len(path) > maxDepth {
				return 0, 0, false
			}
			if !slices.Equal(path, renderingTimePath) {
				continue
			}
			from = int(decoder.InputOffset())
			length := bytes.IndexByte(data[from:], '<')
			if length < 0 || !xsdDateTime.Match(data[from:from+length]) {
				return 0, 0, false
			}
			return from, from + length, true
		case xml.EndElement:
			if len(path) == 0 {
				return 0, 0, false
			}
			path = path[:len(path)-1]
		}
	}
}
