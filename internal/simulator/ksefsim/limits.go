package ksefsim

import "net/http"

// sessionLimits is how much a session takes.
type sessionLimits struct {
	maxInvoiceBytes           int // 1 MB is 1,000,000 bytes
	maxInvoiceAttachmentBytes int // of an invoice with an attachment
	maxInvoices               int
}

// sessionLimits are the limits of a context's sessions: the usual ones unless
// /testdata/limits/context/session changed them. The lock must be held.
func (s *Simulator) sessionLimits(context string) (online, batch sessionLimits) {
	if own, changed := s.ownSessionLimits[context]; changed {
		return own.online, own.batch
	}
	usual := sessionLimits{maxInvoiceBytes, maxInvoiceAttachmentBytes, maxSessionInvoices}
	return usual, usual
}

// contextSessionLimits are limits that a context has of its own.
type contextSessionLimits struct{ online, batch sessionLimits }

// contextLimits answers GET /limits/context.
func (s *Simulator) contextLimits(c *call) (*reply, error) {
	s.lock(c.now)
	online, batch := s.sessionLimits(c.token.auth.context.value)
	s.mu.Unlock()
	show := func(l sessionLimits) map[string]any {
		return map[string]any{
			"maxInvoiceSizeInMB": l.maxInvoiceBytes / megabyte, "maxInvoiceWithAttachmentSizeInMB": l.maxInvoiceAttachmentBytes / megabyte,
			"maxInvoices": l.maxInvoices,
		}
	}
	return jsonReply(http.StatusOK, map[string]any{"onlineSession": show(online), "batchSession": show(batch)})
}

// megabyte is what KSeF calls one.
const megabyte = 1_000_000

// subjectLimits is how many KSeF certificates a subject may ask for and hold.
type subjectLimits struct{ maxEnrollments, maxCertificates int }

// usualSubjectLimits are those of a kind of subject.
func usualSubjectLimits(kind string) subjectLimits {
	if kind == "Nip" {
		return subjectLimits{300, 100}
	}
	return subjectLimits{12, 6}
}

// subjectLimits answers GET /limits/subject.
func (s *Simulator) subjectLimits(c *call) (*reply, error) {
	who := c.token.auth.subject
	s.lock(c.now)
	limits, changed := s.ownSubjectLimits[contextKey(who.kind, who.value)]
	s.mu.Unlock()
	if !changed {
		limits = usualSubjectLimits(who.kind)
	}
	return jsonReply(http.StatusOK, map[string]any{
		"enrollment":  map[string]any{"maxEnrollments": limits.maxEnrollments},
		"certificate": map[string]any{"maxCertificates": limits.maxCertificates},
	})
}
