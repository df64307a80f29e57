package ksefsim

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

const nsUPO = "http://upo.schematy.mf.gov.pl/KSeF/v4-3"

// upoPage is one page of a session's collective UPO.
type upoPage struct {
	ref      string
	number   int // from 1
	first    int // position of its first invoice, from 1
	records  []*record
	document []byte // made when first asked for
}

// paginate divides a session's accepted invoices into the pages of its UPO.
// The lock must be held.
func (s *Simulator) paginate(n *session, at time.Time) {
	var records []*record
	for _, i := range n.invoices {
		if i.code == invoiceAccepted && i.record != nil {
			records = append(records, i.record)
		}
	}
	for records := range slices.Chunk(records, s.cfg.UPOPageSize) {
		number := len(n.pages)
		n.pages = append(n.pages, &upoPage{
			ref: newReference(kindUPO, at), number: number + 1, first: number*s.cfg.UPOPageSize + 1, records: records,
		})
	}
}

func (n *session) page(ref string) *upoPage {
	for _, p := range n.pages {
		if p.ref == ref {
			return p
		}
	}
	return nil
}

// upoByInvoice answers GET /sessions/{ref}/invoices/{invoiceRef}/upo.
func (s *Simulator) upoByInvoice(c *call) (*reply, error) {
	return s.invoiceUPO(c, func(n *session) *record {
		if i := n.byRef[c.r.PathValue("invoiceRef")]; i != nil {
			return i.record
		}
		return nil
	})
}

// upoByNumber answers GET /sessions/{ref}/invoices/ksef/{ksefNumber}/upo.
func (s *Simulator) upoByNumber(c *call) (*reply, error) {
	return s.invoiceUPO(c, func(n *session) *record { return n.byNumber[c.r.PathValue("ksefNumber")] })
}

func (s *Simulator) invoiceUPO(c *call, find func(*session) *record) (*reply, error) {
	s.lock(c.now)
	defer s.mu.Unlock()
	n, err := s.ownSession(c, c.r.PathValue("ref"))
	if err != nil {
		return nil, err
	}
	r := find(n)
	if r == nil {
		return nil, refuse(21178, "Sesja "+n.ref+" nie ma UPO tej faktury.")
	}
	return s.recordUPO(r)
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
	page := n.page(ref)
	if page == nil {
		return nil, refuse(21178, "Sesja "+n.ref+" nie ma UPO "+ref+".")
	}
	return s.sessionUPO(n, page)
}

// recordUPO makes an invoice's UPO once and gives it. The lock must be held.
func (s *Simulator) recordUPO(r *record) (*reply, error) {
	if r.upo == nil {
		document, err := s.signUPO(s.upoDocument(r.sent.session, []*record{r}, nil), r.acquired)
		if err != nil {
			return nil, err
		}
		r.upo = document
	}
	return xmlReply(r.upo), nil
}

// sessionUPO makes a page of a session's collective UPO once and gives it. The
// lock must be held.
func (s *Simulator) sessionUPO(n *session, page *upoPage) (*reply, error) {
	if page.document == nil {
		document, err := s.signUPO(s.upoDocument(n, page.records, page), n.endedAt)
		if err != nil {
			return nil, err
		}
		page.document = document
	}
	return xmlReply(page.document), nil
}

// upoDocument writes a Potwierdzenie 4-3 without its signature: that of one
// invoice, or a page of a session's. What it writes is in canonical form
// already.
func (s *Simulator) upoDocument(n *session, records []*record, page *upoPage) string {
	var b strings.Builder
	field := func(name, value string) { b.WriteString("<" + name + ">" + escaped(value) + "</" + name + ">") }
	b.WriteString(`<Potwierdzenie xmlns="` + nsUPO + `">`)
	field("NazwaPodmiotuPrzyjmujacego", s.receiver())
	field("NumerReferencyjnySesji", n.ref)
	b.WriteString("<Uwierzytelnienie><IdKontekstu>")
	switch context := n.auth.context; context.kind {
	case "InternalId":
		field("IdWewnetrzny", context.value)
	case "NipVatUe":
		field("IdZlozonyVatUE", context.value)
	case "PeppolId":
		field("IdDostawcyUslugPeppol", context.value)
	default:
		field("Nip", context.value)
	}
	b.WriteString("</IdKontekstu>")
	if n.auth.ksefToken != nil {
		field("NumerReferencyjnyTokenaKSeF", n.auth.ksefToken.ref)
	} else {
		field("SkrotDokumentuUwierzytelniajacego", n.auth.documentHash)
	}
	b.WriteString("</Uwierzytelnienie>")
	if page != nil {
		b.WriteString("<OpisPotwierdzenia>")
		field("Strona", itoa(page.number))
		field("LiczbaStron", itoa(len(n.pages)))
		field("ZakresDokumentowOd", itoa(page.first))
		field("ZakresDokumentowDo", itoa(page.first+len(records)-1))
		field("CalkowitaLiczbaDokumentow", itoa(n.accepted))
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
		field("SkrotDokumentu", hexToBase64(r.hash))
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
