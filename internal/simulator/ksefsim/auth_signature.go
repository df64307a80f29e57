package ksefsim

import "strings"

// authenticateXAdES answers POST /auth/xades-signature: the signature is
// verified at once, the certificate and the permissions are judged in the
// status.
func (s *Simulator) authenticateXAdES(c *call) (*reply, error) {
	chain := !s.test()
	switch text := c.r.URL.Query().Get("verifyCertificateChain"); strings.ToLower(text) {
	case "", "false":
	case "true":
		chain = true
	default:
		return nil, invalid("Parametr verifyCertificateChain: oczekiwano true albo false.")
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
	if s.checksNIPs(c) {
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
// always in production, elsewhere where the request asks for it.
func (s *Simulator) checksNIPs(c *call) bool {
	return s.cfg.Environment == EnvironmentProduction || c.feature("subject-identifier-validation")
}
