package ksefsim

import (
	"net/http"
	"time"
)

// attachmentAllowed says whether invoices of a seller may have attachments. The
// lock must be held.
func (s *Simulator) attachmentAllowed(nip string, now time.Time) bool {
	until, known := s.attachments[nip]
	return known && (until.IsZero() || now.Before(until))
}

// attachmentStatus answers GET /permissions/attachments/status. Before the
// first consent there is no date of its end.
func (s *Simulator) attachmentStatus(c *call) (*reply, error) {
	nip := c.token.auth.context.nip
	s.lock(c.now)
	defer s.mu.Unlock()
	doc := map[string]any{"isAttachmentAllowed": s.attachmentAllowed(nip, c.now)}
	if until := s.attachments[nip]; !until.IsZero() {
		doc["revokedDate"] = stamp(until)
	}
	return jsonReply(http.StatusOK, doc)
}

// grantAttachment answers POST /testdata/attachment.
func (s *Simulator) grantAttachment(c *call) error {
	var body struct {
		NIP string `json:"nip"`
	}
	if err := c.decode(&body); err != nil {
		return err
	}
	if err := checkNIP("nip", body.NIP); err != nil {
		return err
	}
	s.lock(c.now)
	defer s.mu.Unlock()
	s.attachments[body.NIP] = time.Time{}
	return nil
}

// revokeAttachment answers POST /testdata/attachment/revoke: the consent ends
// at once, or when the expected day begins in Poland.
func (s *Simulator) revokeAttachment(c *call) error {
	var body struct {
		NIP             string  `json:"nip"`
		ExpectedEndDate *string `json:"expectedEndDate"`
	}
	if err := c.decode(&body); err != nil {
		return err
	}
	if err := checkNIP("nip", body.NIP); err != nil {
		return err
	}
	until := c.now
	if body.ExpectedEndDate != nil {
		day, err := time.ParseInLocation(time.DateOnly, *body.ExpectedEndDate, s.warsaw)
		if err != nil {
			return invalid("expectedEndDate: oczekiwano daty RRRR-MM-DD.")
		}
		if day.After(until) {
			until = day
		}
	}
	s.lock(c.now)
	defer s.mu.Unlock()
	if !s.attachmentAllowed(body.NIP, c.now) {
		return invalid("nip: podmiot " + body.NIP + " nie ma zgody na załączniki.")
	}
	s.attachments[body.NIP] = until
	return nil
}
