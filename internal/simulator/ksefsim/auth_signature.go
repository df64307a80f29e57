package ksefsim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// authenticateXAdES answers POST /auth/xades-signature: the signature is
// verified at once, the certificate and the permissions are judged in the
// status.
func (s *Simulator) authenticateXAdES(c *call) (*reply, error) {
	chain := !s.test()
	if text := c.r.URL.Query().Get("verifyCertificateChain"); text != "" {
		wanted, err := strconv.ParseBool(text)
		if err != nil {
			return nil, invalid("Parametr verifyCertificateChain: oczekiwano true albo false.")
		}
		chain = chain || wanted
	}
	signed, err := verifyXAdES(c.body)
	if err != nil {
		return nil, err
	}
	request, err := readAuthRequest(signed.request)
	if err != nil {
		return nil, err
	}
	who, err := subjectOf(signed.certificate, request.byFingerprint)
	if err != nil {
		return nil, err
	}
	if s.checksNIPs(c.r) {
		if !validNIPChecksum(request.context.nip) {
			return nil, refuse(21117, "Kontekst: cyfra kontrolna NIP się nie zgadza.")
		}
		if who.kind == "Nip" && !validNIPChecksum(who.value) {
			return nil, refuse(21115, "Certyfikat: cyfra kontrolna NIP się nie zgadza.")
		}
	}
	a := &authentication{context: request.context, subject: who, documentHash: hashBase64(c.body), policy: request.policy}
	a.denied = s.authority.untrusted(signed.certificate, signed.others, chain, c.now)

	s.lock(c.now)
	defer s.mu.Unlock()
	if _, err := s.takeChallenge(request.challenge, c.now); err != nil {
		return nil, err
	}
	return s.begin(c, a)
}

// checksNIPs says whether a request's identifiers must have right checksums:
// always in production, on TEST where the request asks for it.
func (s *Simulator) checksNIPs(r *http.Request) bool {
	if s.cfg.Environment == EnvironmentProduction {
		return true
	}
	return s.test() && slices.ContainsFunc(r.Header.Values("X-KSeF-Feature"), func(features string) bool {
		return slices.Contains(strings.FieldsFunc(features, func(r rune) bool { return r == ',' || r == ' ' }), "subject-identifier-validation")
	})
}
