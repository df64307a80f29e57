package ksefsim

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// attributeNames are the names that signing software uses for the attributes
// of a distinguished name.
var attributeNames = map[string]string{
	"CN": "2.5.4.3", "COMMONNAME": "2.5.4.3",
	"SN": "2.5.4.4", "SURNAME": "2.5.4.4",
	"SERIALNUMBER": "2.5.4.5",
	"C":            "2.5.4.6", "COUNTRYNAME": "2.5.4.6",
	"L": "2.5.4.7", "LOCALITYNAME": "2.5.4.7",
	"ST": "2.5.4.8", "S": "2.5.4.8", "STATEORPROVINCENAME": "2.5.4.8",
	"STREET": "2.5.4.9", "STREETADDRESS": "2.5.4.9",
	"O": "2.5.4.10", "ORGANIZATIONNAME": "2.5.4.10",
	"OU": "2.5.4.11", "ORGANIZATIONALUNITNAME": "2.5.4.11",
	"T": "2.5.4.12", "TITLE": "2.5.4.12",
	"DESCRIPTION": "2.5.4.13", "POSTALCODE": "2.5.4.17",
	"G": "2.5.4.42", "GN": "2.5.4.42", "GIVENNAME": "2.5.4.42",
	"INITIALS": "2.5.4.43", "DNQUALIFIER": "2.5.4.46", "DNQ": "2.5.4.46", "PSEUDONYM": "2.5.4.65",
	"ORGANIZATIONIDENTIFIER": "2.5.4.97",
	"DC":                     "0.9.2342.19200300.100.1.25", "DOMAINCOMPONENT": "0.9.2342.19200300.100.1.25",
	"UID": "0.9.2342.19200300.100.1.1", "USERID": "0.9.2342.19200300.100.1.1",
	"E": "1.2.840.113549.1.9.1", "EMAIL": "1.2.840.113549.1.9.1", "EMAILADDRESS": "1.2.840.113549.1.9.1",
}

var dottedOID = regexp.MustCompile(`^(?i:OID\.)?(\d+(?:\.\d+)+)$`)

// issuerNameFits says whether a text names a certificate's issuer: the same
// attributes and values, in any order because software differs in it. The many
// ways of writing names and escapes are admitted, the slash form of OpenSSL is
// not.
func issuerNameFits(text string, cert *x509.Certificate) bool {
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(cert.RawIssuer, &rdns); err != nil || len(rest) > 0 {
		return false
	}
	var want []string
	for _, rdn := range rdns {
		for _, attribute := range rdn {
			value, ok := attribute.Value.(string)
			if !ok {
				return false
			}
			want = append(want, attribute.Type.String()+"="+foldSpace(value))
		}
	}
	got, ok := parseName(text)
	if !ok {
		return false
	}
	slices.Sort(got)
	slices.Sort(want)
	return slices.Equal(got, want)
}

func foldSpace(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// parseName reads a distinguished name of RFC 2253, RFC 4514 or .NET into
// "oid=value" items.
func parseName(text string) ([]string, bool) {
	var items []string
	for _, part := range splitName(text) {
		name, value, found := strings.Cut(part, "=")
		if !found {
			return nil, false
		}
		oid := attributeNames[strings.ToUpper(strings.TrimSpace(name))]
		if m := dottedOID.FindStringSubmatch(strings.TrimSpace(name)); m != nil {
			oid = m[1]
		}
		if oid == "" {
			return nil, false
		}
		plain, ok := unescapeValue(strings.TrimSpace(value))
		if !ok {
			return nil, false
		}
		items = append(items, oid+"="+foldSpace(plain))
	}
	return items, len(items) > 0
}

// splitName cuts a name at its unescaped, unquoted separators.
func splitName(text string) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case (c == ',' || c == ';' || c == '+') && !quoted:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}

// unescapeValue undoes the escapes of one value: quotes, backslashes, and the
// # form with the DER value in hexadecimal.
func unescapeValue(s string) (string, bool) {
	if strings.HasPrefix(s, "#") {
		der, err := hex.DecodeString(s[1:])
		if err != nil {
			return "", false
		}
		var value string
		if rest, err := asn1.Unmarshal(der, &value); err != nil || len(rest) > 0 {
			return "", false
		}
		return value, true
	}
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = strings.ReplaceAll(s[1:len(s)-1], `""`, `"`)
	}
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		if i+2 < len(s) {
			if b, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				out = append(out, b[0])
				i += 2
				continue
			}
		}
		if i++; i < len(s) {
			out = append(out, s[i])
		}
	}
	return string(out), true
}

// issuerSerialFits compares the DER of IssuerSerial (RFC 5035) with a
// certificate.
func issuerSerialFits(der []byte, cert *x509.Certificate) bool {
	var issuerSerial struct {
		Issuer []asn1.RawValue
		Serial *big.Int
	}
	rest, err := asn1.Unmarshal(der, &issuerSerial)
	if err != nil || len(rest) > 0 || len(issuerSerial.Issuer) != 1 {
		return false
	}
	general := issuerSerial.Issuer[0]
	return general.Class == asn1.ClassContextSpecific && general.Tag == 4 &&
		bytes.Equal(general.Bytes, cert.RawIssuer) && issuerSerial.Serial.Cmp(cert.SerialNumber) == 0
}
