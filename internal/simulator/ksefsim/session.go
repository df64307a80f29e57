package ksefsim

import (
	"slices"
	"time"
)

const (
	// sessionLife is how long an online session stays open; it is real and not
	// extended by activity.
	sessionLife = 12 * time.Hour
	// What a session takes unless its context has limits of its own. 1 MB is
	// 1,000,000 bytes.
	maxSessionInvoices        = 10_000
	maxInvoiceBytes           = 1_000_000
	maxInvoiceAttachmentBytes = 3_000_000
)

// formCode names the structure of a session's invoices.
type formCode struct {
	SystemCode    string `json:"systemCode"`
	SchemaVersion string `json:"schemaVersion"`
	Value         string `json:"value"`
}

// formCodes are the structures that exist.
var formCodes = []formCode{
	{"FA (2)", "1-0E", "FA"},
	{"FA (3)", "1-0E", "FA"},
	{"PEF (3)", "2-1", "PEF"},
	{"PEF_KOR (3)", "2-1", "PEF"},
	{"FA_RR (1)", "1-1E", "FA_RR"},
}

// admits says whether a session can be opened for a structure: FA(2) on TEST
// only, PEF only one by one.
func (s *Simulator) admits(form formCode, batch bool) bool {
	return slices.Contains(formCodes, form) && (form.SystemCode != "FA (2)" || s.test()) && (form.Value != "PEF" || !batch)
}

// session is one session, online or batch.
type session struct {
	ref        string
	auth       *authentication // who opened it
	foreign    bool            // of somebody else: nobody may read it
	form       formCode
	created    time.Time
	updated    time.Time
	validUntil time.Time     // of a batch session: end of the time for its parts
	closedAt   time.Time     // zero while open
	batch      *batchPackage // nil for an online session
	strictNIP  bool          // whoever opened it asked for check digits to be checked

	key, iv   []byte
	keyBroken bool // the key cannot be used: shows as 415 after a while

	invoices                      []*sentInvoice
	byRef                         map[string]*sentInvoice
	byNumber                      map[string]*record // accepted invoices by KSeF number
	undecided, accepted, rejected int
	decidedAt                     time.Time // of the last invoice decided

	code      int
	details   []string
	failsWith int // the code that it will end with, 0 for the usual
	endedAt   time.Time
	pages     []*upoPage
}

// newSession makes a session that is not open yet. A key that cannot be
// decrypted is no error here: the session turns to 415 later.
func (s *Simulator) newSession(c *call, kind string, form formCode, e *encryptionInfo) (*session, error) {
	key, iv, err := s.unwrap(c, e)
	if err != nil {
		return nil, err
	}
	return &session{
		ref: newReference(kind, c.now), auth: c.token.auth, form: form, created: c.now, updated: c.now,
		strictNIP: c.feature("subject-identifier-validation"), key: key, iv: iv, keyBroken: key == nil,
		code: sessionOpen, byRef: map[string]*sentInvoice{}, byNumber: map[string]*record{},
	}, nil
}

// sentBy is the operation with which invoices come into the session.
func (n *session) sentBy() string {
	if n.batch != nil {
		return opCloseBatch
	}
	return opSend
}

// register makes a session known. The lock must not be held.
func (s *Simulator) register(c *call, n *session) {
	s.lock(c.now)
	defer s.mu.Unlock()
	s.sessions[n.ref] = n
	s.sessionOrder = append(s.sessionOrder, n)
	s.unfinished = append(s.unfinished, n)
}

// sendingSession finds a session that a call may send into or close: whoever
// opened it may, and the owner of the context. To see others' sessions is not to
// use them. The lock must be held.
func (s *Simulator) sendingSession(c *call, ref string) (*session, error) {
	n, err := s.ownSession(c, ref)
	if err == nil && n.auth.subject != c.token.auth.subject && !s.owns(n.auth.context.nip, c.token.auth.subject) {
		return nil, noAccess()
	}
	return n, err
}

// ownSession finds a session that a call may look into. The lock must be held.
func (s *Simulator) ownSession(c *call, ref string) (*session, error) {
	n := s.sessions[ref]
	if n == nil || n.auth.context != c.token.auth.context {
		return nil, refuse(21173, "Sesji "+ref+" nie ma.")
	}
	if n.foreign || (n.auth.subject != c.token.auth.subject && !c.token.may("Introspection", "EnforcementOperations")) {
		return nil, noAccess()
	}
	return n, nil
}
