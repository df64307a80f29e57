package ksefsim

import (
	"regexp"
	"slices"
	"time"
)

var pesel = regexp.MustCompile(`^\d{2}(?:0[1-9]|1[0-2]|2[1-9]|3[0-2]|4[1-9]|5[0-2]|6[1-9]|7[0-2]|8[1-9]|9[0-2])\d{7}$`)

// testSubject is an organisation made by /testdata/subject. What it changes is
// that it exists; its seal owns its context anyway.
type testSubject struct {
	parent string // NIP, of a subunit
}

// testPerson is a natural person made by /testdata/person, who owns the context
// of a NIP.
type testPerson struct {
	pesel    string
	deceased bool
}

// knownNIP says whether a NIP belongs to a test subject or a test person. The lock
// must be held.
func (s *Simulator) knownNIP(nip string) bool {
	_, subject := s.subjects[nip]
	_, person := s.persons[nip]
	return subject || person
}

// beginning reads a createdDate; the zero time means that there is none.
func (s *Simulator) beginning(text *string) (time.Time, error) {
	if text == nil {
		return time.Time{}, nil
	}
	t, err := s.parseTime(*text)
	if err != nil {
		return t, invalid("createdDate: oczekiwano daty i godziny.")
	}
	return t, nil
}

// claim refuses a NIP that is taken, or one that was and shall now begin to
// exist no later than then. The lock must be held.
func (s *Simulator) claim(nip string, since time.Time) error {
	if s.knownNIP(nip) {
		return exists("Podmiot albo osoba o NIP " + nip + " już istnieje.")
	}
	if last := s.created[nip]; !since.IsZero() && !last.IsZero() && !since.After(last) {
		return invalid("createdDate: podmiot o NIP " + nip + " był już tworzony z taką samą albo późniejszą datą.")
	}
	return nil
}

// createSubject answers POST /testdata/subject.
func (s *Simulator) createSubject(c *call) error {
	type unit struct {
		SubjectNIP  string `json:"subjectNip"`
		Description string `json:"description"`
	}
	var body struct {
		unit
		SubjectType string  `json:"subjectType"`
		Subunits    []unit  `json:"subunits"`
		CreatedDate *string `json:"createdDate"`
	}
	if err := c.decode(&body); err != nil {
		return err
	}
	if !slices.Contains([]string{"EnforcementAuthority", "VatGroup", "JST"}, body.SubjectType) {
		return invalid("subjectType: oczekiwano EnforcementAuthority, VatGroup albo JST.")
	}
	if body.SubjectType == "EnforcementAuthority" && len(body.Subunits) > 0 {
		return invalid("subunits: jednostki podrzędne mają tylko VatGroup i JST.")
	}
	created := map[string]testSubject{}
	for _, u := range append([]unit{body.unit}, body.Subunits...) {
		if err := checkNIP("subjectNip", u.SubjectNIP); err != nil {
			return err
		}
		if err := checkDescription("description", u.Description); err != nil {
			return err
		}
		if _, twice := created[u.SubjectNIP]; twice {
			return invalid("subjectNip: " + u.SubjectNIP + " występuje dwa razy.")
		}
		created[u.SubjectNIP] = testSubject{parent: body.SubjectNIP}
	}
	created[body.SubjectNIP] = testSubject{}
	since, err := s.beginning(body.CreatedDate)
	if err != nil {
		return err
	}
	s.lock(c.now)
	defer s.mu.Unlock()
	for nip := range created {
		if err := s.claim(nip, since); err != nil {
			return err
		}
	}
	for nip, subject := range created {
		s.subjects[nip], s.created[nip] = subject, since
	}
	return nil
}

// removeSubject answers POST /testdata/subject/remove. Subunits go with it.
func (s *Simulator) removeSubject(c *call) error {
	var body struct {
		SubjectNIP string `json:"subjectNip"`
	}
	if err := c.decode(&body); err != nil {
		return err
	}
	if err := checkNIP("subjectNip", body.SubjectNIP); err != nil {
		return err
	}
	s.lock(c.now)
	defer s.mu.Unlock()
	if _, known := s.subjects[body.SubjectNIP]; !known {
		return invalid("subjectNip: podmiotu " + body.SubjectNIP + " nie ma.")
	}
	for nip, subject := range s.subjects {
		if nip == body.SubjectNIP || subject.parent == body.SubjectNIP {
			delete(s.subjects, nip)
		}
	}
	return nil
}

// createPerson answers POST /testdata/person. The person owns the context of
// the NIP from then on.
func (s *Simulator) createPerson(c *call) error {
	var body struct {
		NIP         string  `json:"nip"`
		PESEL       string  `json:"pesel"`
		IsBailiff   *bool   `json:"isBailiff"`
		Description string  `json:"description"`
		IsDeceased  bool    `json:"isDeceased"`
		CreatedDate *string `json:"createdDate"`
	}
	if err := c.decode(&body); err != nil {
		return err
	}
	if err := checkNIP("nip", body.NIP); err != nil {
		return err
	}
	if !pesel.MatchString(body.PESEL) {
		return invalid("pesel: oczekiwano numeru PESEL.")
	}
	if body.IsBailiff == nil {
		return invalid("Pole isBailiff jest wymagane.")
	}
	if err := checkDescription("description", body.Description); err != nil {
		return err
	}
	since, err := s.beginning(body.CreatedDate)
	if err != nil {
		return err
	}
	s.lock(c.now)
	defer s.mu.Unlock()
	if err := s.claim(body.NIP, since); err != nil {
		return err
	}
	s.created[body.NIP] = since
	s.persons[body.NIP] = testPerson{pesel: body.PESEL, deceased: body.IsDeceased}
	s.managed[body.NIP] = true
	return nil
}

// removePerson answers POST /testdata/person/remove. What was granted to the
// person goes too.
func (s *Simulator) removePerson(c *call) error {
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
	person, known := s.persons[body.NIP]
	if !known {
		return invalid("nip: osoby " + body.NIP + " nie ma.")
	}
	delete(s.persons, body.NIP)
	s.grants = slices.DeleteFunc(s.grants, func(g *grant) bool {
		return g.to == authorized{"Pesel", person.pesel} || g.to == authorized{"Nip", body.NIP}
	})
	return nil
}

// blockContext answers POST /testdata/context/block: log-ins end with 480.
func (s *Simulator) blockContext(c *call) error {
	key, err := contextOf(c)
	if err != nil {
		return err
	}
	s.lock(c.now)
	defer s.mu.Unlock()
	s.blocked[key] = true
	return nil
}

// unblockContext answers POST /testdata/context/unblock.
func (s *Simulator) unblockContext(c *call) error {
	key, err := contextOf(c)
	if err != nil {
		return err
	}
	s.lock(c.now)
	defer s.mu.Unlock()
	delete(s.blocked, key)
	return nil
}

func contextOf(c *call) (key string, err error) {
	var body struct {
		ContextIdentifier *typedValue `json:"contextIdentifier"`
	}
	if err := c.decode(&body); err != nil {
		return "", err
	}
	if body.ContextIdentifier == nil {
		return "", invalid("Pole contextIdentifier jest wymagane.")
	}
	context, problem := readContext(body.ContextIdentifier.Type, body.ContextIdentifier.Value)
	if problem != "" {
		return "", invalid("contextIdentifier: " + problem + ".")
	}
	return contextKey(context.kind, context.value), nil
}
