package ksefsim

import "time"

// Stand-ins until the branch with the context's limits, attachments and key
// rotation is merged; delete this file then.

// sessionLimits are the bounds of a session's invoices.
type sessionLimits struct {
	maxInvoiceBytes           int
	maxInvoiceAttachmentBytes int
	maxInvoices               int
}

const (
	maxSessionInvoices        = 10_000
	maxInvoiceBytes           = 1_000_000
	maxInvoiceAttachmentBytes = 3_000_000
)

func (s *Simulator) sessionLimits(string) (online, batch sessionLimits) {
	standard := sessionLimits{maxInvoiceBytes, maxInvoiceAttachmentBytes, maxSessionInvoices}
	return standard, standard
}

var stubAttachments = map[string]bool{}

func (s *Simulator) attachmentAllowed(nip string, _ time.Time) bool { return stubAttachments[nip] }

func (s *Simulator) strikeKeys(*call) {}
