package ksefsim

import (
	"crypto/x509"
	"encoding/asn1"
	"regexp"
	"slices"
	"strings"

	"github.com/beevik/etree"
)

// Namespaces of AuthTokenRequest 2.0 and 2.1.
var authNamespaces = []string{"http://ksef.mf.gov.pl/auth/token/2.0", "http://ksef.mf.gov.pl/auth/token/2.1"}

var (
	challengePattern  = regexp.MustCompile(`^\d{8}-CR-[A-F0-9]{10}-[A-F0-9]{10}-[A-F0-9]{2}$`)
	internalIDPattern = regexp.MustCompile(`^[1-9]((\d[1-9])|([1-9]\d))\d{7}-\d{5}$`)
)

const ip4 = `((25[0-5]|2[0-4]\d|1\d\d|[1-9]\d|\d)\.){3}(25[0-5]|2[0-4]\d|1\d\d|[1-9]\d|\d)`

var allowedIPPatterns = map[string]*regexp.Regexp{
	"Ip4Address": regexp.MustCompile(`^` + ip4 + `$`),
	"Ip4Range":   regexp.MustCompile(`^` + ip4 + `-` + ip4 + `$`),
	"Ip4Mask":    regexp.MustCompile(`^` + ip4 + `/(\d|[12]\d|3[0-2])$`),
}

// authRequest is the content of an AuthTokenRequest.
type authRequest struct {
	challenge     string
	context       contextIdentifier
	byFingerprint bool
	policy        ipPolicy
}

// readAuthRequest checks an AuthTokenRequest as its schema does. An enveloped
// signature in it is passed over.
func readAuthRequest(root *etree.Element) (authRequest, error) {
	var out authRequest
	bad := func(detail string) (authRequest, error) { return out, refuse(21401, detail) }
	namespace := root.NamespaceURI()
	if root.Tag != "AuthTokenRequest" || !slices.Contains(authNamespaces, namespace) {
		return bad("Korzeniem dokumentu musi być AuthTokenRequest w przestrzeni nazw " + strings.Join(authNamespaces, " albo ") + ".")
	}
	if problem := checkShape(root); problem != "" {
		return bad(problem)
	}
	children := slices.DeleteFunc(root.ChildElements(), isSignature)
	expected := []string{"Challenge", "ContextIdentifier", "SubjectIdentifierType", "AuthorizationPolicy"}
	if len(children) < 3 || len(children) > 4 {
		return bad("AuthTokenRequest: oczekiwano elementów " + strings.Join(expected, ", ") + ".")
	}
	for i, child := range children {
		if child.Tag != expected[i] || child.NamespaceURI() != namespace {
			return bad("AuthTokenRequest: w miejscu " + itoa(i+1) + " oczekiwano elementu " + expected[i] + ", jest " + child.Tag + ".")
		}
	}
	out.challenge = strings.TrimSpace(textOf(children[0]))
	if !challengePattern.MatchString(out.challenge) {
		return bad("Challenge: wartość nie pasuje do wzorca.")
	}
	identifiers := children[1].ChildElements()
	if len(identifiers) != 1 || identifiers[0].NamespaceURI() != namespace {
		return bad("ContextIdentifier: oczekiwano dokładnie jednego identyfikatora.")
	}
	value := textOf(identifiers[0])
	switch kind := identifiers[0].Tag; kind {
	case "Nip":
		if !nipPattern.MatchString(value) {
			return bad("Nip: wartość nie pasuje do wzorca.")
		}
		out.context = contextIdentifier{kind: kind, value: value, nip: value}
	case "InternalId":
		if !internalIDPattern.MatchString(value) {
			return bad("InternalId: wartość nie pasuje do wzorca.")
		}
		out.context = contextIdentifier{kind: kind, value: value, nip: value[:10]}
	case "NipVatUe", "PeppolId":
		return out, refuse(21117, "Symulator nie obsługuje kontekstu "+kind+".")
	default:
		return bad("ContextIdentifier: nieznany element " + kind + ".")
	}
	switch strings.TrimSpace(textOf(children[2])) {
	case "certificateSubject":
	case "certificateFingerprint":
		out.byFingerprint = true
	default:
		return bad("SubjectIdentifierType: oczekiwano certificateSubject albo certificateFingerprint.")
	}
	if len(children) == 4 {
		var problem string
		if out.policy, problem = readAllowedIPs(children[3]); problem != "" {
			return bad(problem)
		}
	}
	return out, nil
}

// readAllowedIPs reads an AuthorizationPolicy, or says what is wrong with it.
func readAllowedIPs(policy *etree.Element) (out ipPolicy, problem string) {
	inner := policy.ChildElements()
	if len(inner) != 1 || inner[0].Tag != "AllowedIps" || inner[0].NamespaceURI() != policy.NamespaceURI() {
		return nil, "AuthorizationPolicy: oczekiwano elementu AllowedIps."
	}
	order := []string{"Ip4Address", "Ip4Range", "Ip4Mask"}
	count, last := map[string]int{}, 0
	for _, ip := range inner[0].ChildElements() {
		at := slices.Index(order, ip.Tag)
		if at < last || ip.NamespaceURI() != policy.NamespaceURI() {
			return nil, "AllowedIps: oczekiwano elementów " + strings.Join(order, ", ") + " w tej kolejności, jest " + ip.Tag + "."
		}
		last = at
		if !out.add(ip.Tag, strings.TrimSpace(textOf(ip))) {
			return nil, "AllowedIps: niepoprawny element " + ip.Tag + "."
		}
		if count[ip.Tag]++; count[ip.Tag] > maxAllowedIPs {
			return nil, "AllowedIps: za dużo elementów " + ip.Tag + "."
		}
	}
	return out, ""
}

// checkShape says what no element of an AuthTokenRequest may have: attributes,
// text beside elements, elements in a value. An enveloped signature is passed
// over.
func checkShape(el *etree.Element) (problem string) {
	if name := foreignAttribute(el); name != "" {
		return el.Tag + ": niedozwolony atrybut " + name + "."
	}
	inner := slices.DeleteFunc(el.ChildElements(), isSignature)
	if len(inner) > 0 && strings.TrimSpace(textOf(el)) != "" {
		return el.Tag + ": niedozwolony tekst obok elementów."
	}
	for _, child := range inner {
		if slices.Contains(valueElements, el.Tag) {
			return el.Tag + ": niedozwolony element " + child.Tag + "."
		}
		if problem := checkShape(child); problem != "" {
			return problem
		}
	}
	return ""
}

// valueElements hold text and nothing else.
var valueElements = []string{
	"Challenge", "Nip", "InternalId", "NipVatUe", "PeppolId", "SubjectIdentifierType", "Ip4Address", "Ip4Range", "Ip4Mask",
}

// textOf is all text directly in an element, comments left out.
func textOf(el *etree.Element) string {
	var text strings.Builder
	for _, token := range el.Child {
		if data, is := token.(*etree.CharData); is {
			text.WriteString(data.Data)
		}
	}
	return text.String()
}

// foreignAttribute names an attribute that is no namespace declaration and not
// of xsi.
func foreignAttribute(el *etree.Element) string {
	for _, a := range el.Attr {
		if a.Space == "xmlns" || (a.Space == "" && a.Key == "xmlns") ||
			a.NamespaceURI() == "http://www.w3.org/2001/XMLSchema-instance" {
			continue
		}
		return a.FullKey()
	}
	return ""
}

// subject is who signed.
type subject struct {
	kind  string // Nip, Pesel or Fingerprint
	value string
	seal  bool // an organisation's seal
}

var (
	oidSerialNumber   = asn1.ObjectIdentifier{2, 5, 4, 5}
	oidSurname        = asn1.ObjectIdentifier{2, 5, 4, 4}
	oidGivenName      = asn1.ObjectIdentifier{2, 5, 4, 42}
	oidOrganizationID = asn1.ObjectIdentifier{2, 5, 4, 97}

	sealPattern  = regexp.MustCompile(`^VATPL-(\d{10})$`)
	peselPattern = regexp.MustCompile(`(?i)^(?:PNOPL-|PESEL[ :-]*)(\d{11})$`)
	tinPattern   = regexp.MustCompile(`(?i)^(?:TINPL-|NIP[ :-]*)(\d{10})$`)
)

// subjectOf reads who a certificate belongs to, by its subject or by its
// fingerprint.
func subjectOf(cert *x509.Certificate, byFingerprint bool) (subject, error) {
	if byFingerprint {
		return subject{kind: "Fingerprint", value: strings.ToUpper(hexSHA256(cert.Raw))}, nil
	}
	attribute := func(oid asn1.ObjectIdentifier) string {
		for _, name := range cert.Subject.Names {
			if text, ok := name.Value.(string); ok && name.Type.Equal(oid) {
				return strings.TrimSpace(text)
			}
		}
		return ""
	}
	personal := attribute(oidGivenName) != "" || attribute(oidSurname) != ""
	if id := attribute(oidOrganizationID); id != "" {
		m := sealPattern.FindStringSubmatch(id)
		switch {
		case m == nil:
			return subject{}, refuse(21115, "organizationIdentifier: oczekiwano VATPL- i 10 cyfr.")
		case personal:
			return subject{}, refuse(21115, "Certyfikat pieczęci nie może zawierać givenName ani surname.")
		}
		return subject{kind: "Nip", value: m[1], seal: true}, nil
	}
	id := attribute(oidSerialNumber)
	if attribute(oidGivenName) == "" || attribute(oidSurname) == "" || id == "" {
		return subject{}, refuse(21115, "Certyfikat nie zawiera organizationIdentifier ani danych osoby (givenName, surname, serialNumber).")
	}
	if m := peselPattern.FindStringSubmatch(id); m != nil {
		return subject{kind: "Pesel", value: m[1]}, nil
	}
	if m := tinPattern.FindStringSubmatch(id); m != nil {
		return subject{kind: "Nip", value: m[1]}, nil
	}
	return subject{}, refuse(21115, "serialNumber: oczekiwano PNOPL- i 11 cyfr albo TINPL- i 10 cyfr.")
}
