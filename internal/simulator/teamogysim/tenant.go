package teamogysim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxVersions bounds how far a stale view can look back.
const maxVersions = 30

// tenant is all data of the simulated company. Documents and companies are
// never changed in place: a change stores a new value, so that a reader needs
// the lock only to get hold of it.
type tenant struct {
	unit      int
	revision  int64
	documents []*history // ascending by id
	byID      map[int64]*history
	byNumber  map[string]*history
	byKSeF    map[string][]*history // by each KSeF number that a version has or had
	companies []*company            // ascending by id
	users     []user
	numbers   map[string]int // last number given per series
	nextID    int64
	style     CompanySwitches
}

// history is a document with its former versions, the newest last.
type history struct {
	versions []*document
}

func (h *history) current() *document { return h.versions[len(h.versions)-1] }

// asOf is the version that was current at a time, or the first one where none
// was or older ones were forgotten.
func (h *history) asOf(at time.Time) *document {
	for _, d := range slices.Backward(h.versions) {
		if !d.changed.After(at) {
			return d
		}
	}
	return h.versions[0]
}

func newTenant(unit int) *tenant {
	return &tenant{
		unit:     unit,
		byID:     map[int64]*history{},
		byNumber: map[string]*history{},
		byKSeF:   map[string][]*history{},
		numbers:  map[string]int{},
		nextID:   1000,
		users: []user{
			{ID: 1, FirstName: "KSeF", LastName: "Integration"},
			{ID: 2, FirstName: "Anna", LastName: "Nowak"},
			{ID: 3, FirstName: "Piotr", LastName: "Zieliński"},
			{ID: 4, FirstName: "Maria", LastName: "Wójcik"},
			{ID: 5, FirstName: "Jan", LastName: "Lewandowski"},
		},
	}
}

type user struct {
	ID        int64  `json:"id"`
	FirstName string `json:"firstName"`
	LastName  string `json:"lastName"`
	Disabled  bool   `json:"isDisabled"`
}

type company struct {
	ID            int64
	Name          string
	Supplier      bool
	Client        bool
	Disabled      bool
	Registrations map[string]string

	seededNIP string            // written as the settings say
	given     map[string]string // written as given
	values    string            // the shape in which they are shown
}

// companyColumns are the fields of a company, as entity and in views.
var companyColumns = []string{"id", "type", "name", "isDisabled", "isSupplier", "isClient", "registrations"}

func (c *company) column(name string) (any, bool) {
	switch name {
	case "id":
		return c.ID, true
	case "type":
		return "COMPANY", true
	case "name":
		return c.Name, true
	case "isDisabled":
		return c.Disabled, true
	case "isSupplier":
		return c.Supplier, true
	case "isClient":
		return c.Client, true
	case "registrations":
		return c.registrations(), true
	}
	if key, ok := strings.CutPrefix(name, "registrations."); ok {
		v, found := c.Registrations[key]
		if !found {
			return nil, true
		}
		return v, true
	}
	return nil, false
}

func (t *tenant) company(id int64) *company {
	i, ok := slices.BinarySearchFunc(t.companies, id, func(c *company, id int64) int { return int(c.ID - id) })
	if !ok {
		return nil
	}
	return t.companies[i]
}

func (t *tenant) companyNamed(name string) *company {
	for _, c := range t.companies {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func (t *tenant) addCompany(c company) *company {
	c.ID = int64(101 + len(t.companies))
	t.companies = append(t.companies, t.styled(c))
	return t.companies[len(t.companies)-1]
}

func (t *tenant) user(id int64) bool {
	return slices.ContainsFunc(t.users, func(u user) bool { return u.ID == id })
}

// store makes d the current version of its document; a new document gets an id.
func (t *tenant) store(d *document, now time.Time) error {
	if other := t.byNumber[d.Number]; d.Number != "" && other != nil && other.current().ID != d.ID {
		return fmt.Errorf("number %s is taken by document %d", d.Number, other.current().ID)
	}
	h := t.byID[d.ID]
	if h == nil {
		t.nextID++
		d.ID = t.nextID
		d.created = now
		h = &history{}
		t.byID[d.ID] = h
		t.documents = append(t.documents, h)
	} else if former := h.current().Number; former != d.Number {
		delete(t.byNumber, former)
	}
	if d.Number != "" {
		t.byNumber[d.Number] = h
	}
	t.indexKSeFNumber(h, d)
	d.version++
	t.revision++
	d.revision = t.revision
	d.changed = now
	d.summary = summarise(d, t)
	h.versions = append(h.versions, d)
	if len(h.versions) > maxVersions {
		h.versions = slices.Clone(h.versions[1:])
	}
	return nil
}

func (t *tenant) nextNumber(documentType string, now time.Time) string {
	prefix := "DOC"
	switch {
	case isReceived(documentType):
		prefix = "FP"
	case isIssued(documentType):
		prefix = "FV"
	}
	for {
		series := fmt.Sprintf("%s-%d", prefix, now.Year())
		t.numbers[series]++
		number := fmt.Sprintf("%s-%05d", series, t.numbers[series])
		if t.byNumber[number] == nil {
			return number
		}
	}
}
