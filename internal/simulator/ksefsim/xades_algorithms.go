package ksefsim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha1"   // SHA-1 is admitted
	_ "crypto/sha256" // SHA-256
	_ "crypto/sha3"   // SHA-3 family
	_ "crypto/sha512" // SHA-384 and SHA-512
	"crypto/x509"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// Transform and canonicalisation algorithms.
const (
	algEnveloped    = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
	algBase64       = "http://www.w3.org/2000/09/xmldsig#base64"
	algXPath        = "http://www.w3.org/TR/1999/REC-xpath-19991116"
	algXPathFilter2 = "http://www.w3.org/2002/06/xmldsig-filter2"
	algC14N10       = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
	algC14N11       = "http://www.w3.org/2006/12/xml-c14n11"
	algExclusive    = "http://www.w3.org/2001/10/xml-exc-c14n#"
	withComments    = "WithComments"
)

var digestMethods = map[string]crypto.Hash{
	"http://www.w3.org/2000/09/xmldsig#sha1":          crypto.SHA1,
	"http://www.w3.org/2001/04/xmlenc#sha256":         crypto.SHA256,
	"http://www.w3.org/2001/04/xmldsig-more#sha384":   crypto.SHA384,
	"http://www.w3.org/2001/04/xmlenc#sha512":         crypto.SHA512,
	"http://www.w3.org/2007/05/xmldsig-more#sha3-256": crypto.SHA3_256,
	"http://www.w3.org/2007/05/xmldsig-more#sha3-384": crypto.SHA3_384,
	"http://www.w3.org/2007/05/xmldsig-more#sha3-512": crypto.SHA3_512,
	"http://www.w3.org/2007/05/xmldsig-more#sha3-224": crypto.SHA3_224,
}

// signatureMethod is one value of SignatureMethod.
type signatureMethod struct {
	family string // rsa, pss or ecdsa
	hash   crypto.Hash
}

var signatureMethods = map[string]signatureMethod{
	"http://www.w3.org/2000/09/xmldsig#rsa-sha1":               {"rsa", crypto.SHA1},
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256":        {"rsa", crypto.SHA256},
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha384":        {"rsa", crypto.SHA384},
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha512":        {"rsa", crypto.SHA512},
	"http://www.w3.org/2007/05/xmldsig-more#sha1-rsa-MGF1":     {"pss", crypto.SHA1},
	"http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1":   {"pss", crypto.SHA256},
	"http://www.w3.org/2007/05/xmldsig-more#sha384-rsa-MGF1":   {"pss", crypto.SHA384},
	"http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1":   {"pss", crypto.SHA512},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1":        {"ecdsa", crypto.SHA1},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256":      {"ecdsa", crypto.SHA256},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384":      {"ecdsa", crypto.SHA384},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512":      {"ecdsa", crypto.SHA512},
	"http://www.w3.org/2021/04/xmldsig-more#ecdsa-sha3-256":    {"ecdsa", crypto.SHA3_256},
	"http://www.w3.org/2021/04/xmldsig-more#ecdsa-sha3-384":    {"ecdsa", crypto.SHA3_384},
	"http://www.w3.org/2021/04/xmldsig-more#ecdsa-sha3-512":    {"ecdsa", crypto.SHA3_512},
	"http://www.w3.org/2007/05/xmldsig-more#sha3-256-rsa-MGF1": {"pss", crypto.SHA3_256},
	"http://www.w3.org/2007/05/xmldsig-more#sha3-512-rsa-MGF1": {"pss", crypto.SHA3_512},
	"http://www.w3.org/2007/05/xmldsig-more#sha3-384-rsa-MGF1": {"pss", crypto.SHA3_384},
}

// maxRSABits is the largest RSA key that signatures are verified with: with the
// largest that a request can hold it would take minutes.
const maxRSABits = 16384

// verifySignatureValue checks a signature over data. An ECDSA value must be
// R and S side by side at fixed width, as XML signatures demand: DER is
// refused.
func verifySignatureValue(cert *x509.Certificate, algorithm string, data, value []byte) error {
	method, known := signatureMethods[algorithm]
	if !known {
		return refuseSignature("Nieobsługiwany algorytm podpisu %q.", algorithm)
	}
	h := method.hash.New()
	h.Write(data)
	digest := h.Sum(nil)
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return refuse(21115, "Klucz RSA musi mieć co najmniej 2048 bitów.")
		}
		if key.N.BitLen() > maxRSABits {
			return refuse(21115, "Klucz RSA może mieć najwyżej "+itoa(maxRSABits)+" bity.")
		}
		var err error
		switch method.family {
		case "rsa":
			err = rsa.VerifyPKCS1v15(key, method.hash, digest, value)
		case "pss":
			err = rsa.VerifyPSS(key, method.hash, digest, value, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto})
		default:
			return refuseSignature("Algorytm podpisu nie pasuje do klucza RSA.")
		}
		if err != nil {
			return refuseSignature("Wartość podpisu się nie zgadza.")
		}
	case *ecdsa.PublicKey:
		if method.family != "ecdsa" {
			return refuseSignature("Algorytm podpisu nie pasuje do klucza EC.")
		}
		bits := key.Curve.Params().BitSize
		if bits < 256 {
			return refuse(21115, "Krzywa musi mieć co najmniej 256 bitów.")
		}
		width := (bits + 7) / 8
		if len(value) != 2*width {
			return refuseSignature("Wartość podpisu ECDSA musi mieć %d bajtów (R i S obok siebie), ma %d.", 2*width, len(value))
		}
		r, s := new(big.Int).SetBytes(value[:width]), new(big.Int).SetBytes(value[width:])
		if !ecdsa.Verify(key, digest, r, s) {
			return refuseSignature("Wartość podpisu się nie zgadza.")
		}
	default:
		return refuse(21115, "Nieobsługiwany rodzaj klucza.")
	}
	return nil
}

var (
	notInSignature    = regexp.MustCompile(`^not\(\s*ancestor-or-self::(?:([\w.-]+):)?Signature\s*\)$`)
	subtractSignature = regexp.MustCompile(`^(?:/descendant::|//|/descendant-or-self::|here\(\)/ancestor::)(?:([\w.-]+):)?Signature(?:\[1\])?$`)
)

// transform runs a reference's transforms over its target and gives the octets
// to be digested. decoded says that they came out of Base64 and are no
// canonical XML.
func (g *signature) transform(ref, target *etree.Element) (octets []byte, decoded bool, err error) {
	var without *etree.Element
	done := false
	var steps []*etree.Element
	if list := only(ref, nsDSig, "Transforms"); list != nil {
		steps = list.ChildElements()
	}
	for _, step := range steps {
		algorithm := step.SelectAttrValue("Algorithm", "")
		if done {
			return nil, false, refuseSignature("Przekształcenie %q po kanonikalizacji nie jest obsługiwane.", algorithm)
		}
		switch {
		case algorithm == algEnveloped:
			without = g.element
		case algorithm == algXPath, algorithm == algXPathFilter2:
			if !dropsSignature(step, algorithm) {
				return nil, false, refuseSignature("Nieobsługiwane wyrażenie XPath.")
			}
			without = g.element
		case algorithm == algBase64:
			if octets, err = decodeBase64(target.Text()); err != nil || len(target.ChildElements()) > 0 {
				return nil, false, refuseSignature("Treść przekształcenia base64 nie jest Base64.")
			}
			done, decoded = true, true
		case isCanonicalization(algorithm):
			if octets, err = canonical(target, algorithm, inclusivePrefixes(step), false, without); err != nil {
				return nil, false, err
			}
			done = true
		default:
			return nil, false, refuseSignature("Nieobsługiwane przekształcenie %q.", algorithm)
		}
	}
	if !done {
		if octets, err = canonical(target, algC14N10, "", false, without); err != nil {
			return nil, false, err
		}
	}
	return octets, decoded, nil
}

// dropsSignature recognises the XPath expressions that take the signature
// out, in the forms that signing software writes.
func dropsSignature(step *etree.Element, algorithm string) bool {
	namespace, pattern := nsDSig, notInSignature
	if algorithm == algXPathFilter2 {
		namespace, pattern = algXPathFilter2, subtractSignature
	}
	xpath := only(step, namespace, "XPath")
	if xpath == nil || (algorithm == algXPathFilter2 && xpath.SelectAttrValue("Filter", "") != "subtract") {
		return false
	}
	m := pattern.FindStringSubmatch(strings.TrimSpace(xpath.Text()))
	return m != nil && m[1] != "" && inScope(xpath)[m[1]] == nsDSig
}

func isCanonicalization(algorithm string) bool {
	base := strings.TrimSuffix(strings.TrimSuffix(algorithm, withComments), "#")
	return slices.Contains([]string{algC14N10, algC14N11, strings.TrimSuffix(algExclusive, "#")}, base)
}

// inclusivePrefixes is the PrefixList of exclusive canonicalisation.
func inclusivePrefixes(step *etree.Element) string {
	if el := only(step, algExclusive, "InclusiveNamespaces"); el != nil {
		return el.SelectAttrValue("PrefixList", "")
	}
	return ""
}

// inScope gives the namespace declarations that hold at an element, by prefix;
// "" is the default namespace.
func inScope(el *etree.Element) map[string]string {
	scope := map[string]string{}
	for ; el != nil; el = el.Parent() {
		for _, a := range el.Attr {
			prefix, declares := "", false
			switch {
			case a.Space == "xmlns":
				prefix, declares = a.Key, true
			case a.Space == "" && a.Key == "xmlns":
				declares = true
			}
			if _, nearer := scope[prefix]; declares && !nearer {
				scope[prefix] = a.Value
			}
		}
	}
	return scope
}

// canonical gives the canonical form of an element in its place in the
// document, without the element given as without. Comments stay only when
// asked for by the algorithm and allowed.
func canonical(el *etree.Element, algorithm, prefixes string, commentsAllowed bool, without *etree.Element) ([]byte, error) {
	if !isCanonicalization(algorithm) {
		return nil, refuseSignature("Nieobsługiwana kanonikalizacja %q.", algorithm)
	}
	scope := inScope(el)
	detached := el.Copy()
	if without != nil {
		if path := pathTo(el, without); len(path) > 0 {
			parent := detached
			for _, i := range path[:len(path)-1] {
				parent = parent.Child[i].(*etree.Element) //nolint:forcetypeassert // the path was made from elements
			}
			parent.RemoveChildAt(path[len(path)-1])
		}
	}
	for prefix, uri := range scope {
		name := "xmlns"
		if prefix != "" {
			name += ":" + prefix
		} else if uri == "" {
			continue
		}
		detached.CreateAttr(name, uri)
	}
	exclusive := strings.HasPrefix(algorithm, algExclusive)
	if !exclusive {
		inheritXMLAttributes(el, detached, strings.HasPrefix(algorithm, algC14N11))
	}
	comments := commentsAllowed && strings.HasSuffix(algorithm, withComments)
	var c dsig.Canonicalizer
	switch {
	case exclusive && comments:
		c = dsig.MakeC14N10ExclusiveWithCommentsCanonicalizerWithPrefixList(prefixes)
	case exclusive:
		c = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(prefixes)
	case comments:
		c = dsig.MakeC14N11WithCommentsCanonicalizer()
	default:
		c = dsig.MakeC14N11Canonicalizer()
	}
	octets, err := c.Canonicalize(detached)
	if err != nil {
		return nil, refuseSignature("Dokumentu nie można sprowadzić do postaci kanonicznej: %v.", err)
	}
	return octets, nil
}

// inheritXMLAttributes copies the xml: attributes of the ancestors, as
// inclusive canonicalisation demands; 1.1 passes over xml:id.
func inheritXMLAttributes(el, detached *etree.Element, version11 bool) {
	for up := el.Parent(); up != nil; up = up.Parent() {
		for _, a := range up.Attr {
			if a.Space == "xml" && (!version11 || a.Key != "id") && detached.SelectAttr("xml:"+a.Key) == nil {
				detached.CreateAttr("xml:"+a.Key, a.Value)
			}
		}
	}
}

// pathTo gives the child indexes that lead from an element down to another, or
// nothing when it is not below.
func pathTo(from, to *etree.Element) []int {
	var path []int
	for at := to; at != from; at = at.Parent() {
		if at.Parent() == nil {
			return nil
		}
		path = append(path, at.Index())
	}
	slices.Reverse(path)
	return path
}
