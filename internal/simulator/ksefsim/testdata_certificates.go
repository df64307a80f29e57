package ksefsim

import (
	"regexp"
	"strings"
)

var serialPattern = regexp.MustCompile(`^[0-9A-F]{16}$`)

// shortenCertificate answers PUT /testdata/certificates/{serial}: a certificate
// of the subject that is logged in, issued by the simulator's authority, ends
// earlier.
func (s *Simulator) shortenCertificate(c *call) error {
	serial := c.r.PathValue("serial")
	if !serialPattern.MatchString(serial) {
		return invalid("serialNumber: oczekiwano 16 cyfr szesnastkowych.")
	}
	var body struct {
		ValidTo string `json:"validTo"`
	}
	if err := c.decode(&body); err != nil {
		return err
	}
	until, err := s.parseTime(body.ValidTo)
	if err != nil {
		return invalid("validTo: oczekiwano daty i godziny.")
	}
	who := c.token.auth.subject
	unknown := refuse(25008)
	known, err := s.authority.change(serial, func(i *issuedCertificate) error {
		owner, err := subjectOf(i.cert, false)
		if (err != nil || owner != who) && strings.ToUpper(hexSHA256(i.cert.Raw)) != who.value {
			return unknown
		}
		if until.After(i.until) {
			return invalid("validTo: ważność certyfikatu można tylko skrócić.")
		}
		i.until = until
		return nil
	})
	if !known {
		return unknown
	}
	return err
}
