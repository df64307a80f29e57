package teamogysim

import (
	"maps"
	"net/http"
)

// edit is what a person in Teamogy does to a document.
type edit struct {
	Status     *string        `json:"status"`
	Tags       *[]string      `json:"tags"`
	XML        *[]byte        `json:"xml"`
	Properties map[string]any `json:"properties"`
	// When is "now" (also when empty), or "after-next-read": right after the next
	// GET of the document, so that who read it has an old version in hands.
	When string `json:"when"`
}

// controlEdit changes a document as a person in Teamogy would. Properties are
// merged; one of null is removed.
func (s *Simulator) controlEdit(a *answer, r *http.Request) {
	var e edit
	if !decodeControl(a, r, &e) {
		return
	}
	d := s.named(a, r)
	if d == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.edited(d.ID, e)
	switch {
	case err != nil:
		a.fail(http.StatusBadRequest, "%v", err)
	case e.When == "after-next-read":
		s.edits[d.ID] = append(s.edits[d.ID], e)
		a.json(http.StatusAccepted, inspect(s.tenant.byID[d.ID].current()))
	case e.When != "" && e.When != "now":
		a.fail(http.StatusBadRequest, "when %q: want now or after-next-read", e.When)
	default:
		if err := s.tenant.store(d, s.clock.now()); err != nil {
			a.fail(http.StatusBadRequest, "%v", err)
			return
		}
		a.json(http.StatusOK, inspect(d))
	}
}

// edited is a document as it is after an edit. The caller holds the lock.
func (s *Simulator) edited(id int64, e edit) (*document, error) {
	d := s.tenant.byID[id].current().clone()
	properties := maps.Clone(e.Properties)
	if properties == nil {
		properties = map[string]any{}
	}
	if e.XML != nil {
		if d.attachment != nil {
			d.attachment = *e.XML
		} else {
			properties[xmlProperty] = textOf(*e.XML)
		}
	}
	return d, s.overlay(d, documentBody{Status: e.Status, Tags: e.Tags, Properties: &properties}, s.settings.ofPerson())
}

// changeBehindReader makes the edits that were ordered for after a document is
// read. The caller holds the lock.
func (s *Simulator) changeBehindReader(id int64) {
	for _, e := range s.edits[id] {
		if d, err := s.edited(id, e); err == nil {
			_ = s.tenant.store(d, s.clock.now())
		}
	}
	delete(s.edits, id)
}

// ofPerson are the rules for what people, and tests, write into the tenant:
// those of its API do not count for them.
func (s *settings) ofPerson() *settings {
	rules := *s
	rules.PatchReplaces, rules.NullProperties, rules.PatchDepth, rules.PatchLists = false, NullRemoves, DepthKeys, ListsReplaced
	rules.KnownProperties, rules.UnknownProperties, rules.AbsentTypes = nil, PropertiesAccepted, nil
	return &rules
}
