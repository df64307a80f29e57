package samples

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Adapt gives an FA(3) invoice another seller's NIP (Podmiot1/DaneIdentyfikacyjne/NIP) and another number (Fa/P_2). Only the text between these elements' tags is
// replaced; every other byte stays, line ends, comments and blanks included. It is an error when one of the two is not there exactly once, or is empty.
func Adapt(invoice []byte, sellerNIP, number string) ([]byte, error) {
	nip, err := textRange(invoice, "Faktura/Podmiot1/DaneIdentyfikacyjne/NIP")
	if err != nil {
		return nil, fmt.Errorf("adapt invoice: %w", err)
	}
	p2, err := textRange(invoice, "Faktura/Fa/P_2")
	if err != nil {
		return nil, fmt.Errorf("adapt invoice: %w", err)
	}
	type edit struct {
		span
		text string
	}
	edits := []edit{{nip, sellerNIP}, {p2, number}}
	slices.SortFunc(edits, func(a, b edit) int { return int(a.from - b.from) })
	var adapted bytes.Buffer
	last := int64(0)
	for _, e := range edits {
		adapted.Write(invoice[last:e.from])
		if err := xml.EscapeText(&adapted, []byte(e.text)); err != nil {
			return nil, fmt.Errorf("adapt invoice: %w", err)
		}
		last = e.to
	}
	adapted.Write(invoice[last:])
	return adapted.Bytes(), nil
}

// span is a range of bytes.
type span struct{ from, to int64 }

// textRange finds the bytes between the tags of the only element at path, a list of local names.
func textRange(invoice []byte, path string) (span, error) {
	decoder := xml.NewDecoder(bytes.NewReader(invoice))
	var open []string
	var found []span
	inside := false
	for {
		before := decoder.InputOffset()
		token, err := decoder.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return span{}, fmt.Errorf("read the XML: %w", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if inside {
				return span{}, fmt.Errorf("%s contains elements", path)
			}
			open = append(open, token.Name.Local)
			if inside = strings.Join(open, "/") == path; inside {
				found = append(found, span{from: decoder.InputOffset()})
			}
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != token.Name.Local {
				return span{}, fmt.Errorf("read the XML: unexpected </%s>", token.Name.Local)
			}
			if inside {
				found[len(found)-1].to, inside = before, false
			}
			open = open[:len(open)-1]
		}
	}
	switch {
	case len(open) > 0:
		return span{}, errors.New("read the XML: it ends too early")
	case len(found) != 1:
		return span{}, fmt.Errorf("%s is there %d times, not once", path, len(found))
	case found[0].to <= found[0].from:
		return span{}, fmt.Errorf("%s is empty", path)
	}
	return found[0], nil
}
