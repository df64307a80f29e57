package ksefsim

import "time"

// attachmentAllowed says whether invoices of a seller may have attachments. The
// lock must be held.
func (s *Simulator) attachmentAllowed(nip string, now time.Time) bool {
	until, known := s.attachments[nip]
	return known && (until.IsZero() || now.Before(until))
}
