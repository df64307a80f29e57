package teamogysim

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"unicode/utf8"
)

// seedBody is the body of POST /_sim/seed.
type seedBody struct {
	Companies []struct {
		Name          string            `json:"name"`
		NIP           string            `json:"nip"` // registered as the settings say
		Registrations map[string]string `json:"registrations"`
		Supplier      bool              `json:"supplier"`
		Client        bool              `json:"client"`
		Disabled      bool              `json:"disabled"`
	} `json:"companies"`
	Users []struct {
		ID        int64  `json:"id"`
		FirstName string `json:"firstName"`
		LastName  string `json:"lastName"`
	} `json:"users"`
	Documents []seedDocument `json:"documents"`
}

type seedDocument struct {
	Type        string         `json:"type"`
	Status      string         `json:"status"`
	Number      string         `json:"number"`
	CompanyName string         `json:"companyName"`
	Tags        []string       `json:"tags"`
	XML         []byte         `json:"xml"`   // Base64 in JSON
	XMLIn       string         `json:"xmlIn"` // "property" (default), "base64" or "attachment"
	Properties  map[string]any `json:"properties"`
}

type seededDocument struct {
	ID     int64  `json:"id"`
	Number string `json:"number"`
	SHA256 string `json:"sha256,omitempty"` // of the XML, in hex
}

type seededCompany struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	NIP  string `json:"nip,omitempty"`
}

// controlSeed puts companies, users and documents into the tenant, as far as
// the first one that is wrong.
func (s *Simulator) controlSeed(a *answer, r *http.Request) {
	var body seedBody
	r.Header.Set("Content-Type", "application/json")
	if !decodeControl(a, r, &body) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	companies, documents := []seededCompany{}, []seededDocument{}
	for _, c := range body.Companies {
		made := s.tenant.addCompany(company{
			Name: c.Name, Supplier: c.Supplier, Client: c.Client, Disabled: c.Disabled, seededNIP: c.NIP, given: c.Registrations,
		})
		companies = append(companies, seededCompany{ID: made.ID, Name: c.Name, NIP: c.NIP})
	}
	for _, u := range body.Users {
		if s.tenant.user(u.ID) {
			continue
		}
		s.tenant.users = append(slices.Clone(s.tenant.users), user{ID: u.ID, FirstName: u.FirstName, LastName: u.LastName})
	}
	for _, sd := range body.Documents {
		d, err := s.seedDocument(sd, r.Host)
		if err != nil {
			a.fail(http.StatusBadRequest, "document %d (%s): %v", len(documents)+1, sd.Number, err)
			return
		}
		done := seededDocument{ID: d.ID, Number: d.Number}
		if data := d.xml(); data != nil {
			done.SHA256 = sha256Hex(data)
		}
		documents = append(documents, done)
	}
	a.json(http.StatusOK, map[string]any{"companies": companies, "documents": documents})
}

func (s *Simulator) seedDocument(sd seedDocument, host string) (*document, error) {
	d := &document{
		Type: sd.Type, Status: "OPEN", AgencyID: int64(s.unit), OwnerID: s.tenant.users[0].ID, CompanyName: sd.CompanyName,
		Number: sd.Number, Tags: sd.Tags, Properties: map[string]any{}, createdVia: "seed",
	}
	if c := s.tenant.companyNamed(sd.CompanyName); c != nil && sd.CompanyName != "" {
		d.CompanyID = c.ID
	}
	properties := sd.Properties
	if properties == nil {
		properties = map[string]any{}
	}
	if sd.XML != nil {
		switch sd.XMLIn {
		case "", "property":
			properties[xmlProperty] = textOf(sd.XML)
		case "base64":
			properties[xmlProperty] = base64.StdEncoding.EncodeToString(sd.XML)
		case "attachment":
			d.attachment = sd.XML
		default:
			return nil, fmt.Errorf("xmlIn %q: want property, base64 or attachment", sd.XMLIn)
		}
	}
	body := documentBody{Properties: &properties}
	if sd.Status != "" {
		body.Status = &sd.Status
	}
	if err := s.overlay(d, body, s.settings.ofPerson()); err != nil {
		return nil, err
	}
	if d.attachment != nil {
		link := "/files/" + strconv.FormatInt(s.tenant.nextID+1, 10) + "/" + url.PathEscape("faktura.xml")
		if s.settings.AttachLinks == LinksAbsolute {
			link = "http://" + host + link
		}
		d.Attach = []string{link}
	}
	if d.Number == "" {
		d.Number = s.tenant.nextNumber(d.Type, s.clock.now())
	}
	return d, s.tenant.store(d, s.clock.now())
}

// textOf is how an XML is held in a property: as text where JSON can carry it
// unchanged, else in Base64.
func textOf(xml []byte) string {
	if utf8.Valid(xml) {
		return string(xml)
	}
	return base64.StdEncoding.EncodeToString(xml)
}
