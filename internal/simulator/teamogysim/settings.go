package teamogysim

import (
	"encoding/json"
	"net/http"
	"reflect"
)

// settings are the switches that can change while the simulator runs, in the
// form of the control API. They are never changed in place: who holds some may
// read them without the lock.
type settings struct {
	RequestsPerMinute int     `json:"requestsPerMinute"`
	QuotaStatus       int     `json:"quotaStatus"`
	QuotaRetryAfter   bool    `json:"quotaRetryAfter"`
	PatchReplaces     bool    `json:"patchReplaces"`
	FilterProperties  string  `json:"filterProperties"`
	PageLimit         int     `json:"pageLimit"`
	Registration      bool    `json:"registration"`
	ViewDelaySeconds  float64 `json:"viewDelaySeconds"`
	EntityAnswer      string  `json:"entityAnswer"`
	FlatProperties    bool    `json:"flatProperties"`

	GatewaySwitches
	DocumentSwitches
	CompanySwitches
	ViewSwitches
}

// newSettings are those of a Config, in which an empty text, a zero and an
// absent list stand for the default; but a quota of 0 is none, and false is
// false.
func newSettings(c Config) *settings {
	s := settings{
		RequestsPerMinute: c.RequestsPerMinute,
		QuotaStatus:       c.QuotaStatus,
		QuotaRetryAfter:   !c.QuotaWithoutRetryAfter,
		PatchReplaces:     c.PatchReplaces,
		FilterProperties:  c.FilterProperties,
		PageLimit:         c.PageLimit,
		Registration:      c.Registration,
		ViewDelaySeconds:  c.ViewDelay.Seconds(),
		EntityAnswer:      c.EntityAnswer,
		FlatProperties:    c.FlatProperties,
		GatewaySwitches:   c.GatewaySwitches,
		DocumentSwitches:  c.DocumentSwitches,
		CompanySwitches:   c.CompanySwitches,
		ViewSwitches:      c.ViewSwitches,
	}
	all := reflect.ValueOf(&s).Elem()
	for _, info := range switchInfos() {
		field := fieldOf(all, info.Name)
		if field.Kind() != reflect.Bool && field.IsZero() && info.Name != "requestsPerMinute" {
			field.Set(reflect.ValueOf(info.Default))
		}
	}
	return &s
}

// check tells the first thing that is wrong.
func (s *settings) check() error {
	all := reflect.ValueOf(s).Elem()
	for _, info := range switchInfos() {
		if err := info.wrong(fieldOf(all, info.Name).Interface()); err != nil {
			return err
		}
	}
	return nil
}

// changed is a copy of the settings with the switches that a JSON object names.
func (s *settings) changed(object json.RawMessage) (*settings, error) {
	next := *s
	all := reflect.ValueOf(&next).Elem()
	// JSON is read into a list or map that is there, which would change s, too.
	for _, info := range switchInfos() {
		if field := fieldOf(all, info.Name); field.Kind() == reflect.Slice || field.Kind() == reflect.Map {
			field.SetZero()
		}
	}
	if err := json.Unmarshal(object, &next); err != nil {
		return nil, err
	}
	former := reflect.ValueOf(s).Elem()
	for _, info := range switchInfos() {
		field := fieldOf(all, info.Name)
		if (field.Kind() == reflect.Slice || field.Kind() == reflect.Map) && field.IsNil() {
			field.Set(fieldOf(former, info.Name))
		}
	}
	return &next, next.check()
}

// controlSettings changes the switches that the body names and keeps the rest.
func (s *Simulator) controlSettings(a *answer, r *http.Request) {
	var object json.RawMessage
	if !decodeJSON(a, r, &object) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !knownFields(a, object, &settings{}) {
		return
	}
	next, err := s.settings.changed(object)
	if err != nil {
		a.fail(http.StatusBadRequest, "%v", err)
		return
	}
	s.settings = next
	s.tenant.register(next)
	a.json(http.StatusOK, next)
}

func (s *Simulator) controlSettingNames(a *answer, _ *http.Request) {
	a.json(http.StatusOK, map[string]any{"settings": switchInfos()})
}
