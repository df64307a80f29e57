package ksefsim

import "net/http"

// The usual bounds of a session's invoices.
const (
	maxSessionInvoices        = 10_000
	maxInvoiceBytes           = 1_000_000
	maxInvoiceAttachmentBytes = 3_000_000
)

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

// subjectLimits answers GET /limits/subject.
func (s *Simulator) subjectLimits(*call) (*reply, error) {
	return jsonReply(http.StatusOK, map[string]any{
		"enrollment":  map[string]any{"maxEnrollments": 300},
		"certificate": map[string]any{"maxCertificates": 100},
	})
}
