package ksefsim

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const nsUPO = "http://upo.schematy.mf.gov.pl/KSeF/v4-3"

// upoByInvoice answers GET /sessions/{ref}/invoices/{invoiceRef}/upo.
func (s *Simulator) upoByInvoice(c *call) (*reply, error) {
	return s.invoiceUPO(c, func(n *session) *sentInvoice { return n.find(c.r.PathValue("invoiceRef")) })
}

// upoByNumber answers GET /sessions/{ref}/invoices/ksef/{ksefNumber}/upo.
func (s *Simulator) upoByNumber(c *call) (*reply, error) {
	return s.invoiceUPO(c, func(n *session) *sentInvoice { return n.findNumber(c.r.PathValue("ksefNumber")) })
}

func (n *session) findNumber(number string) *sentInvoice {
	for _, i := range n.invoices {
		if i.record != nil && i.record.number == number {
			return i
		}
	}
	return nil
}

func (s *Simulator) invoiceUPO(c *call, find func(*session) *sentInvoice) (*reply, error) {
	s.lock(c.now)
	defer s.mu.Unlock()
	n, err := s.ownSession(c, c.r.PathValue("ref"))
	if err != nil {
		return nil, err
	}
	i := find(n)
	if i == nil || i.record == nil {
		return nil, refuse(21178, "Sesja "+n.ref+" nie ma UPO tej faktury.")
	}
	return s.recordUPO(i.record)
}

// upoByReference answers GET /sessions/{ref}/upo/{upoRef}.
func (s *Simulator) upoByReference(c *call) (*reply, error) {
	ref := c.r.PathValue("upoRef")
	s.lock(c.now)
	defer s.mu.Unlock()
	n, err := s.ownSession(c, c.r.PathValue("ref"))
	if err != nil {
		return nil, err
	}
	if n.upoRef == "" || n.upoRef != ref {
		return nil, refuse(21178, "Sesja "+n.ref+" nie ma UPO "+ref+".")
	}
	return s.sessionUPO(n)
}

// recordUPO makes an invoice's UPO once and gives it. The lock must be held.
func (s *Simulator) recordUPO(r *record) (*reply, error) {
	if r.upo == nil {
		document, err := s.signUPO(s.upoDocument(r.sent.session, []*record{r}, false), r.acquired)
		if err != nil {
			return nil, err
		}
		r.upo = document
	}
	return xmlReply(r.upo), nil
}

// sessionUPO makes a session's collective UPO once and gives it. The lock must
// be held.
func (s *Simulator) sessionUPO(n *session) (*reply, error) {
	if n.upo == nil {
		var records []*record
		for _, i := range n.invoices {
			if i.record != nil {
				records = append(records, i.record)
			}
		}
		document, err := s.signUPO(s.upoDocument(n, records, true), n.endedAt)
		if err != nil {
			return nil, err
		}
		n.upo = document
	}
	return xmlReply(n.upo), nil
}

// upoDocument writes a Potwierdzenie 4-3 without its signature. What it writes
// is in canonical form already.
func (s *Simulator) upoDocument(n *session, records []*record, collective bool) string {
	var b strings.Builder
	field := func(name, value string) { b.WriteString("<" + name + ">" + escaped(value) + "</" + name + ">") }
	b.WriteString(`<Potwierdzenie xmlns="` + nsUPO + `">`)
	field("NazwaPodmiotuPrzyjmujacego", s.receiver())
	field("NumerReferencyjnySesji", n.ref)
	b.WriteString("<Uwierzytelnienie><IdKontekstu>")
	if n.auth.context.kind == "InternalId" {
		field("IdWewnetrzny", n.auth.context.value)
	} else {
		field("Nip", n.auth.context.value)
	}
	b.WriteString("</IdKontekstu>")
	if n.auth.ksefToken != nil {
		field("NumerReferencyjnyTokenaKSeF", n.auth.ksefToken.ref)
	} else {
		field("SkrotDokumentuUwierzytelniajacego", n.auth.documentHash)
	}
	b.WriteString("</Uwierzytelnienie>")
	if collective {
		count := itoa(len(records))
		b.WriteString("<OpisPotwierdzenia>")
		field("Strona", "1")
		field("LiczbaStron", "1")
		field("ZakresDokumentowOd", "1")
		field("ZakresDokumentowDo", count)
		field("CalkowitaLiczbaDokumentow", count)
		b.WriteString("</OpisPotwierdzenia>")
	}
	field("NazwaStrukturyLogicznej", "Schemat_"+strings.ReplaceAll(n.form.SystemCode, " ", "")+"_v"+n.form.SchemaVersion+".xsd")
	field("KodFormularza", n.form.SystemCode)
	local := func(t time.Time) string { return t.In(s.warsaw).Format("2006-01-02T15:04:05.000-07:00") }
	for _, r := range records {
		b.WriteString("<Dokument>")
		field("NipSprzedawcy", r.invoice.sellerNIP)
		field("NumerKSeFDokumentu", r.number)
		field("NumerFaktury", r.invoice.number)
		field("DataWystawieniaFaktury", r.invoice.issueDate)
		field("DataPrzeslaniaDokumentu", local(r.invoicing))
		field("DataNadaniaNumeruKSeF", local(r.acquired))
		field("SkrotDokumentu", hashBase64(r.xml))
		field("TrybWysylki", r.mode)
		b.WriteString("</Dokument>")
	}
	b.WriteString("</Potwierdzenie>")
	return b.String()
}

// signUPO puts an enveloped XAdES signature (rsa-sha256) into a document that
// is in canonical form. All parts are written canonically, so that their bytes
// are what is digested.
func (s *Simulator) signUPO(document string, at time.Time) ([]byte, error) {
	key := s.keys.upo
	cert, err := x509.ParseCertificate(key.certificate)
	if err != nil {
		return nil, fmt.Errorf("read the UPO certificate: %w", err)
	}
	const sha256Method = `<DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></DigestMethod>`
	const inherited = ` xmlns="` + nsDSig + `"`
	const inheritedBoth = inherited + ` xmlns:xades="` + nsXAdES + `"`
	properties := func(namespaces string) string {
		return `<xades:SignedProperties` + namespaces + ` Id="SignedProperties"><xades:SignedSignatureProperties>` +
			`<xades:SigningTime>` + at.In(s.warsaw).Format("2006-01-02T15:04:05.000-07:00") + `</xades:SigningTime>` +
			`<xades:SigningCertificate><xades:Cert><xades:CertDigest>` + sha256Method +
			`<DigestValue>` + hashBase64(key.certificate) + `</DigestValue></xades:CertDigest>` +
			`<xades:IssuerSerial><X509IssuerName>` + escaped(cert.Issuer.String()) + `</X509IssuerName>` +
			`<X509SerialNumber>` + cert.SerialNumber.String() + `</X509SerialNumber></xades:IssuerSerial>` +
			`</xades:Cert></xades:SigningCertificate></xades:SignedSignatureProperties></xades:SignedProperties>`
	}
	signedInfo := func(namespaces string) string {
		return `<SignedInfo` + namespaces + `><CanonicalizationMethod Algorithm="` + algC14N10 + `"></CanonicalizationMethod>` +
			`<SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"></SignatureMethod>` +
			`<Reference URI=""><Transforms><Transform Algorithm="` + algEnveloped + `"></Transform></Transforms>` +
			sha256Method + `<DigestValue>` + hashBase64([]byte(document)) + `</DigestValue></Reference>` +
			`<Reference Type="` + typeSignedProperties + `" URI="#SignedProperties"><Transforms><Transform Algorithm="` + algC14N10 +
			`"></Transform></Transforms>` + sha256Method +
			`<DigestValue>` + hashBase64([]byte(properties(inheritedBoth))) + `</DigestValue></Reference></SignedInfo>`
	}
	digest := sha256.Sum256([]byte(signedInfo(inherited)))
	value, err := rsa.SignPKCS1v15(rand.Reader, key.private, crypto.SHA256, digest[:])
	if err != nil {
		return nil, fmt.Errorf("sign the UPO: %w", err)
	}
	signature := `<Signature` + inherited + ` Id="Signature">` + signedInfo("") +
		`<SignatureValue>` + base64.StdEncoding.EncodeToString(value) + `</SignatureValue>` +
		`<KeyInfo><X509Data><X509Certificate>` + base64.StdEncoding.EncodeToString(key.certificate) +
		`</X509Certificate></X509Data></KeyInfo><Object><xades:QualifyingProperties xmlns:xades="` + nsXAdES +
		`" Target="#Signature">` + properties("") + `</xades:QualifyingProperties></Object></Signature>`
	const end = "</Potwierdzenie>"
	return []byte(`<?xml version="1.0" encoding="utf-8"?>` + strings.TrimSuffix(document, end) + signature + end), nil
}

// escaped is text as canonical XML writes it between tags. Control characters
// other than tab and line feed do not occur in what the simulator accepts.
func escaped(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch r {
		case '&':
			b.WriteString("&amp;")
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		case '\r':
			b.WriteString("&#xD;")
		default:
			if isXMLCharacter(r) {
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}

func isXMLCharacter(r rune) bool {
	return r == '\t' || r == '\n' || (r >= 0x20 && r <= 0xd7ff) || (r >= 0xe000 && r <= 0xfffd) || r >= 0x10000
}

// link makes an unauthenticated link to a UPO. Each one is new: it carries its
// end, a random part and a code over both.
func (s *Simulator) link(c *call, sessionRef, kind, name string, until time.Time) string {
	path := "/storage/01/" + strings.ToLower(sessionRef) + "/" + kind + "/" + url.PathEscape("upo_"+name+".xml")
	q := url.Values{
		"sv": {"2025-01-05"}, "st": {c.now.UTC().Format(time.RFC3339)}, "se": {until.UTC().Format(time.RFC3339)},
		"sr": {"b"}, "sp": {"r"}, "sk": {randomHex(8)},
	}
	q.Set("sig", s.linkCode(path, q.Get("se"), q.Get("sk")))
	return c.baseURL + path + "?" + q.Encode()
}

func (s *Simulator) linkCode(path, until, nonce string) string {
	mac := hmac.New(sha256.New, s.secret[:])
	mac.Write([]byte("link\n" + path + "\n" + until + "\n" + nonce))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// storageOperation serves the links: no log-in, no quota.
func (s *Simulator) storageOperation() *operation {
	return &operation{name: opStorage, open: true, handle: func(c *call) (*reply, error) {
		q := c.r.URL.Query()
		until, err := time.Parse(time.RFC3339, q.Get("se"))
		code := s.linkCode(c.r.URL.EscapedPath(), q.Get("se"), q.Get("sk"))
		if err != nil || !hmac.Equal([]byte(code), []byte(q.Get("sig"))) || !c.now.Before(until) {
			return storageError(http.StatusForbidden, "AuthenticationFailed", "Server failed to authenticate the request."), nil
		}
		name := strings.TrimSuffix(strings.TrimPrefix(c.r.PathValue("file"), "upo_"), ".xml")
		s.lock(c.now)
		defer s.mu.Unlock()
		n := s.sessions[strings.ToUpper(c.r.PathValue("session"))]
		switch {
		case n == nil:
		case c.r.PathValue("kind") == "upo" && n.upoRef == name:
			return s.sessionUPO(n)
		case c.r.PathValue("kind") == "invoice-upo":
			if i := n.findNumber(name); i != nil {
				return s.recordUPO(i.record)
			}
		}
		return storageError(http.StatusNotFound, "BlobNotFound", "The specified blob does not exist."), nil
	}}
}

// storageError is an error in the manner of the storage service behind KSeF.
func storageError(status int, code, message string) *reply {
	body, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: code, Message: message})
	if err != nil {
		body = nil
	}
	return &reply{
		status: status, contentType: "application/xml", body: append([]byte(xml.Header), body...),
		header: http.Header{"X-Ms-Error-Code": {code}},
	}
}
