package teamogysim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// overlay writes a body's fields into d after checking them against the tenant.
// The caller holds the lock.
func (s *Simulator) overlay(d *document, b documentBody, rules *settings) error {
	t := s.tenant
	if !slices.Contains(documentTypes, d.Type) || slices.Contains(rules.AbsentTypes, d.Type) {
		return fmt.Errorf("type %q is not configured", d.Type)
	}
	if b.Status != nil && !slices.Contains(s.statuses, *b.Status) {
		return fmt.Errorf("status %q is not configured", *b.Status)
	}
	if b.StatusDate != nil {
		if _, err := time.Parse(time.DateOnly, *b.StatusDate); err != nil {
			return fmt.Errorf("statusDate %q is not a date (YYYY-MM-DD)", *b.StatusDate)
		}
	}
	if b.AgencyID != nil && *b.AgencyID != int64(t.unit) {
		return fmt.Errorf("agencyId %d does not exist", *b.AgencyID)
	}
	if b.OwnerID != nil && !t.user(*b.OwnerID) {
		return fmt.Errorf("ownerId %d does not exist", *b.OwnerID)
	}
	if b.ParticipantIDs != nil {
		for _, id := range *b.ParticipantIDs {
			if !t.user(id) {
				return fmt.Errorf("participantIds: user %d does not exist", id)
			}
		}
	}
	if b.CompanyID != nil {
		c := t.company(*b.CompanyID)
		if c == nil {
			return fmt.Errorf("companyId %d does not exist", *b.CompanyID)
		}
		d.CompanyName = c.Name
	} else if b.CompanyName != nil {
		d.CompanyName = *b.CompanyName
	}
	for name, raw := range map[string]*json.RawMessage{"process": b.Process, "acl": b.ACL} {
		if raw != nil && !strings.HasPrefix(strings.TrimSpace(string(*raw)), "{") {
			return fmt.Errorf("%s is not an object", name)
		}
	}
	set(&d.Status, b.Status)
	set(&d.StatusDate, b.StatusDate)
	set(&d.Number, b.Number)
	set(&d.AgencyID, b.AgencyID)
	set(&d.OwnerID, b.OwnerID)
	set(&d.OwnerName, b.OwnerName)
	set(&d.CompanyID, b.CompanyID)
	set(&d.PersonID, b.PersonID)
	set(&d.BinderID, b.BinderID)
	set(&d.Category, b.Category)
	if rules.PatchLists == ListsAdded {
		add(&d.Tags, b.Tags)
		add(&d.ParticipantIDs, b.ParticipantIDs)
		add(&d.Attach, b.Attach)
	} else {
		set(&d.Tags, b.Tags)
		set(&d.ParticipantIDs, b.ParticipantIDs)
		set(&d.Attach, b.Attach)
	}
	set(&d.Process, b.Process)
	set(&d.ACL, b.ACL)
	set(&d.Disabled, b.Disabled)
	set(&d.Draft, b.Draft)
	if b.Properties == nil {
		return nil
	}
	if rules.PatchReplaces {
		d.Properties = map[string]any{}
	}
	return mergeProperties(d.Properties, *b.Properties, rules)
}

func set[T any](into *T, from *T) {
	if from != nil {
		*into = *from
	}
}

// add appends what is not there yet.
func add[T comparable](into *[]T, from *[]T) {
	if from == nil {
		return
	}
	*into = slices.Clone(*into)
	for _, v := range *from {
		if !slices.Contains(*into, v) {
			*into = append(*into, v)
		}
	}
}
