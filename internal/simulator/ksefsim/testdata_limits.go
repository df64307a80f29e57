package ksefsim

// setRateLimits answers POST /testdata/rate-limits: the present context's
// quotas. Each group of the contract has to be there; those that came with
// version 2.8 may be.
func (s *Simulator) setRateLimits(c *call) error {
	type values struct {
		PerSecond *int `json:"perSecond"`
		PerMinute *int `json:"perMinute"`
		PerHour   *int `json:"perHour"`
	}
	var body struct {
		RateLimits map[string]*values `json:"rateLimits"`
	}
	if err := c.decode(&body); err != nil {
		return err
	}
	later := map[string]bool{groupOnlineSessionClose: true, groupBatchSessionClose: true}
	limits := map[string]RateLimit{}
	for group := range productionLimits() {
		given := body.RateLimits[group]
		if given == nil {
			if later[group] {
				continue
			}
			return invalid("rateLimits." + group + ": brak wartości.")
		}
		if !positive(given.PerSecond, given.PerMinute, given.PerHour) {
			return invalid("rateLimits." + group + ": oczekiwano perSecond, perMinute i perHour większych od zera.")
		}
		limits[group] = RateLimit{*given.PerSecond, *given.PerMinute, *given.PerHour}
	}
	s.limits.override(c.token.auth.context.value, limits)
	return nil
}

func positive(numbers ...*int) bool {
	for _, n := range numbers {
		if n == nil || *n < 1 {
			return false
		}
	}
	return true
}

// restoreRateLimits answers DELETE /testdata/rate-limits.
func (s *Simulator) restoreRateLimits(c *call) error {
	s.limits.override(c.token.auth.context.value, nil)
	return nil
}

// setProductionRateLimits answers POST /testdata/rate-limits/production.
func (s *Simulator) setProductionRateLimits(c *call) error {
	s.limits.override(c.token.auth.context.value, productionLimits())
	return nil
}

// sessionLimitsBody are the limits of one kind of session in JSON.
type sessionLimitsBody struct {
	MaxInvoiceSizeInMB               *int `json:"maxInvoiceSizeInMB"`
	MaxInvoiceWithAttachmentSizeInMB *int `json:"maxInvoiceWithAttachmentSizeInMB"`
	MaxInvoices                      *int `json:"maxInvoices"`
}

// Largest limits that a session can be given.
const (
	largestInvoiceMB           = 5
	largestInvoiceAttachmentMB = 10
	largestInvoices            = 100_000
)

func (b *sessionLimitsBody) limits(field string) (sessionLimits, error) {
	if b == nil {
		return sessionLimits{}, invalid("Pole " + field + " jest wymagane.")
	}
	for _, v := range []struct {
		name  string
		value *int
		most  int
	}{
		{"maxInvoiceSizeInMB", b.MaxInvoiceSizeInMB, largestInvoiceMB},
		{"maxInvoiceWithAttachmentSizeInMB", b.MaxInvoiceWithAttachmentSizeInMB, largestInvoiceAttachmentMB},
		{"maxInvoices", b.MaxInvoices, largestInvoices},
	} {
		if v.value == nil || *v.value < 0 || *v.value > v.most {
			return sessionLimits{}, invalid(field + "." + v.name + ": oczekiwano liczby od 0 do " + itoa(v.most) + ".")
		}
	}
	return sessionLimits{*b.MaxInvoiceSizeInMB * megabyte, *b.MaxInvoiceWithAttachmentSizeInMB * megabyte, *b.MaxInvoices}, nil
}

// setSessionLimits answers POST /testdata/limits/context/session.
func (s *Simulator) setSessionLimits(c *call) error {
	var body struct {
		Online *sessionLimitsBody `json:"onlineSession"`
		Batch  *sessionLimitsBody `json:"batchSession"`
	}
	if err := c.decode(&body); err != nil {
		return err
	}
	online, err := body.Online.limits("onlineSession")
	if err != nil {
		return err
	}
	batch, err := body.Batch.limits("batchSession")
	if err != nil {
		return err
	}
	s.lock(c.now)
	defer s.mu.Unlock()
	s.ownSessionLimits[c.token.auth.context.value] = contextSessionLimits{online, batch}
	return nil
}

// restoreSessionLimits answers DELETE /testdata/limits/context/session.
func (s *Simulator) restoreSessionLimits(c *call) error {
	s.lock(c.now)
	defer s.mu.Unlock()
	delete(s.ownSessionLimits, c.token.auth.context.value)
	return nil
}

// setSubjectLimits answers POST /testdata/limits/subject/certificate. What is
// left out stays as usual for the kind of subject.
func (s *Simulator) setSubjectLimits(c *call) error {
	var body struct {
		Type       *string `json:"subjectIdentifierType"`
		Enrollment *struct {
			Max *int `json:"maxEnrollments"`
		} `json:"enrollment"`
		Certificate *struct {
			Max *int `json:"maxCertificates"`
		} `json:"certificate"`
	}
	if err := c.decode(&body); err != nil {
		return err
	}
	who := c.token.auth.subject
	kind := who.kind
	if body.Type != nil {
		kind = *body.Type
	}
	if kind != "Nip" && kind != "Pesel" && kind != "Fingerprint" {
		return invalid("subjectIdentifierType: oczekiwano Nip, Pesel albo Fingerprint.")
	}
	limits := usualSubjectLimits(kind)
	if body.Enrollment != nil && body.Enrollment.Max != nil {
		limits.maxEnrollments = *body.Enrollment.Max
	}
	if body.Certificate != nil && body.Certificate.Max != nil {
		limits.maxCertificates = *body.Certificate.Max
	}
	if limits.maxEnrollments < 0 || limits.maxCertificates < 0 {
		return invalid("maxEnrollments i maxCertificates nie mogą być ujemne.")
	}
	if kind != who.kind {
		return nil // of another kind of subject: this log-in does not see it
	}
	s.lock(c.now)
	defer s.mu.Unlock()
	s.ownSubjectLimits[contextKey(who.kind, who.value)] = limits
	return nil
}

// restoreSubjectLimits answers DELETE /testdata/limits/subject/certificate.
func (s *Simulator) restoreSubjectLimits(c *call) error {
	who := c.token.auth.subject
	s.lock(c.now)
	defer s.mu.Unlock()
	delete(s.ownSubjectLimits, contextKey(who.kind, who.value))
	return nil
}
