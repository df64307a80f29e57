package teamogysim

import "net/http"

// entity answers a GET of one object in the shape that is switched on.
func (a *answer) entity(set *settings, what string, found []any) {
	switch shape := set.EntityAnswer; {
	case shape == AnswerArray:
		a.json(http.StatusOK, orEmpty(found))
	case shape == AnswerDataArray:
		a.json(http.StatusOK, map[string]any{"data": orEmpty(found)})
	case len(found) == 0:
		a.missing(set.MissingEntity, what)
	case len(found) > 1:
		a.json(http.StatusOK, found)
	case shape == AnswerData:
		a.json(http.StatusOK, map[string]any{"data": found[0]})
	default:
		a.json(http.StatusOK, found[0])
	}
}

func (a *answer) missing(shape, what string) {
	switch shape {
	case MissingNull:
		a.json(http.StatusOK, nil)
	case MissingEmpty:
		a.status = http.StatusOK
	default:
		a.fail(http.StatusNotFound, "no such %s", what)
	}
}

// savedDocument answers a POST or PATCH of a document that worked.
func (a *answer) savedDocument(status int, d *document, set *settings) {
	type saved struct {
		ID     int64 `json:"id"`
		Number any   `json:"number"`
	}
	switch set.SaveAnswer {
	case SaveRegistration:
		a.json(status, map[string]any{"id": d.ID, "registrationNumber": orNull(d.Number)})
	case SaveEntity:
		a.json(status, d.entity(set))
	default:
		a.saved(status, d.ID, saved{ID: d.ID, Number: orNull(d.Number)}, set)
	}
}

// savedCompany answers a POST or PATCH of a company that worked.
func (a *answer) savedCompany(status int, c *company, set *settings) {
	if set.SaveAnswer == SaveEntity {
		a.json(status, rowOf(c.column, companyColumns))
		return
	}
	a.saved(status, c.ID, map[string]int64{"id": c.ID}, set)
}

func (a *answer) saved(status int, id int64, object any, set *settings) {
	switch set.SaveAnswer {
	case SaveData:
		a.json(status, map[string]any{"data": object})
	case SaveID:
		a.json(status, id)
	case SaveEmpty:
		a.status = status
	default:
		a.json(status, object)
	}
}
