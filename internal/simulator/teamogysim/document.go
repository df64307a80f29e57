package teamogysim

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// xmlProperty holds the FA(3) XML of an issued invoice, as text or Base64.
const xmlProperty = "ksefXml"

// document is one version of a Teamogy document and must not be changed once it
// is stored.
type document struct {
	ID             int64
	Type           string
	Status         string
	StatusDate     string
	Number         string
	AgencyID       int64
	OwnerID        int64
	OwnerName      string
	CompanyID      int64 // 0: none
	CompanyName    string
	PersonID       int64
	BinderID       int64
	Category       string
	Tags           []string
	ParticipantIDs []int64
	Attach         []string
	Process        json.RawMessage
	ACL            json.RawMessage
	Disabled       bool
	Draft          bool
	Properties     map[string]any

	created    time.Time
	changed    time.Time
	revision   int64
	version    int64  // how often it was stored
	patched    int    // PATCH requests of the REST API
	createdVia string // "seed" or "post"
	attachment []byte // what the link in Attach gives
	summary    summary
}

func (d *document) clone() *document {
	c := *d
	c.Tags = slices.Clone(d.Tags)
	c.ParticipantIDs = slices.Clone(d.ParticipantIDs)
	c.Attach = slices.Clone(d.Attach)
	c.Properties = maps.Clone(d.Properties)
	return &c
}

// documentColumns are the fields of a document, as entity and in views; an
// entity has its properties besides.
var documentColumns = []string{
	"id", "type", "status", "statusDate", "number", "agencyId", "ownerId", "ownerName", "companyId", "companyName",
	"personId", "binderId", "category", "tags", "participantIds", "attach", "process", "acl", "isDisabled", "isDraft",
}

func (d *document) column(name string) (any, bool) {
	switch name {
	case "id":
		return d.ID, true
	case "type":
		return d.Type, true
	case "status":
		return d.Status, true
	case "statusDate":
		return orNull(d.StatusDate), true
	case "number":
		return orNull(d.Number), true
	case "agencyId":
		return d.AgencyID, true
	case "ownerId":
		return orNull(d.OwnerID), true
	case "ownerName":
		return orNull(d.OwnerName), true
	case "companyId":
		return orNull(d.CompanyID), true
	case "companyName":
		return orNull(d.CompanyName), true
	case "personId":
		return orNull(d.PersonID), true
	case "binderId":
		return orNull(d.BinderID), true
	case "category":
		return orNull(d.Category), true
	case "tags":
		return orEmpty(d.Tags), true
	case "participantIds":
		return orEmpty(d.ParticipantIDs), true
	case "attach":
		return orEmpty(d.Attach), true
	case "process":
		return orNullJSON(d.Process), true
	case "acl":
		return orNullJSON(d.ACL), true
	case "isDisabled":
		return d.Disabled, true
	case "isDraft":
		return d.Draft, true
	}
	return nil, false
}

// entity is the full object that GET /documents answers with.
func (d *document) entity(set *settings) map[string]any {
	out := make(map[string]any, len(documentColumns)+2)
	for _, name := range documentColumns {
		out[name], _ = d.column(name)
	}
	out["properties"] = shownProperties(d.Properties, set.NumberProperties)
	if set.DocumentVersion != VersionNone {
		out["version"] = d.version
	}
	return out
}

func (d *document) property(name string) string {
	switch v := d.Properties[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func (d *document) tagged(tag string) bool { return slices.Contains(d.Tags, tag) }

// xml is the invoice that the document holds, decoded: in the property, as text
// or Base64, or behind its attachment link. Nil means none.
func (d *document) xml() []byte {
	if text := d.property(xmlProperty); text != "" {
		return decodeXML(text)
	}
	return d.attachment
}

func decodeXML(text string) []byte {
	if start := strings.TrimLeft(text, " \t\r\n\ufeff"); strings.HasPrefix(start, "<") {
		return []byte(text)
	}
	compact := strings.NewReplacer("\r", "", "\n", "").Replace(text)
	if data, err := base64.StdEncoding.DecodeString(compact); err == nil {
		return data
	}
	return []byte(text)
}

func sha256Hex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func orNull[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}

func orNullJSON(v json.RawMessage) any {
	if v = bytes.TrimSpace(v); len(v) == 0 || string(v) == "null" {
		return nil
	}
	return v
}

func orEmpty[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}
