package ksef

import (
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Attribute types of certificate names that this package looks at.
const (
	oidSerialNumber           = "2.5.4.5"
	oidOrganizationIdentifier = "2.5.4.97"
)

// shortNames are the attribute types that RFC 4514 writes by name. All others
// are written as their number with the value's DER in hexadecimal, which every
// reader understands and which keeps the value exactly.
var shortNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.6": "C", "2.5.4.9": "STREET",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}

type rawAttribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type rawRDN []asn1.RawValue

// formatDN writes a distinguished name as RFC 4514 wants it (the last part
// first), directly from its DER. Go's own pkix.Name reorders parts that it does
// not know and encodes their values anew, so that its text no longer equals the
// name in the certificate.
func formatDN(der []byte) (string, error) {
	var sequence []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &sequence); err != nil || len(rest) > 0 {
		return "", fmt.Errorf("the name in the certificate is malformed")
	}
	parts := make([]string, 0, len(sequence))
	for i := len(sequence) - 1; i >= 0; i-- {
		var set rawRDN
		if _, err := asn1.UnmarshalWithParams(sequence[i].FullBytes, &set, "set"); err != nil {
			return "", fmt.Errorf("the name in the certificate is malformed")
		}
		var values []string
		for _, raw := range set {
			var a rawAttribute
			if _, err := asn1.Unmarshal(raw.FullBytes, &a); err != nil {
				return "", fmt.Errorf("the name in the certificate is malformed")
			}
			values = append(values, formatAttribute(a))
		}
		parts = append(parts, strings.Join(values, "+"))
	}
	return strings.Join(parts, ","), nil
}

func formatAttribute(a rawAttribute) string {
	oid := a.Type.String()
	if name, known := shortNames[oid]; known {
		if text, ok := decodeText(a.Value); ok {
			return name + "=" + escapeDN(text)
		}
	}
	return oid + "=#" + hex.EncodeToString(a.Value.FullBytes)
}

// decodeText reads the kinds of strings that certificates use.
func decodeText(v asn1.RawValue) (string, bool) {
	if v.Class != asn1.ClassUniversal || v.IsCompound {
		return "", false
	}
	switch v.Tag {
	case asn1.TagUTF8String:
		return string(v.Bytes), utf8.Valid(v.Bytes)
	case asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString, asn1.TagT61String, 26: // 26: VisibleString
		for _, b := range v.Bytes {
			if b >= 0x80 {
				return "", false
			}
		}
		return string(v.Bytes), true
	case asn1.TagBMPString:
		if len(v.Bytes)%2 != 0 {
			return "", false
		}
		units := make([]uint16, 0, len(v.Bytes)/2)
		for i := 0; i < len(v.Bytes); i += 2 {
			units = append(units, uint16(v.Bytes[i])<<8|uint16(v.Bytes[i+1]))
		}
		return string(utf16.Decode(units)), true
	}
	return "", false
}

// escapeDN escapes a value by section 2.4 of RFC 4514. Control characters, and
// those that XML 1.0 cannot hold, are written as their bytes in hexadecimal.
func escapeDN(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r < ' ' || r == 0x7f || r == 0xFFFE || r == 0xFFFF:
			for _, c := range []byte(string(r)) {
				fmt.Fprintf(&b, "\\%02X", c)
			}
		case strings.ContainsRune(`"+,;<>\`, r),
			r == '#' && i == 0,
			r == ' ' && (i == 0 || i == len(s)-1):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
