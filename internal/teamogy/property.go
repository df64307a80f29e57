package teamogy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // Warsaw dates must be right on a machine without time zones

	"github.com/shopspring/decimal"
)

// ValueType is the JSON form in which a property's value is written. Teamogy refuses a value of another type than
// the tenant has configured.
type ValueType string

// The value types.
const (
	Text          ValueType = "string"         // a JSON string
	Number        ValueType = "number"         // a JSON number with the exact decimal digits
	DecimalString ValueType = "decimal-string" // the same digits in a JSON string
	Date          ValueType = "date"           // "2026-11-22"
	DateTime      ValueType = "date-time"      // RFC 3339 with offset, whole seconds
	JSON          ValueType = "json"           // written as the caller gave it
)

// Property names a key of a document's properties object and the form of its value. An empty key means that the
// value is not written. In the fields file it is the key alone, or {"key": "...", "type": "..."}.
type Property struct {
	Key  string    `json:"key"`
	Type ValueType `json:"type"`
}

// UnmarshalJSON reads a key, null (not written), or an object; what it leaves out keeps its default.
func (p *Property) UnmarshalJSON(data []byte) error {
	switch trimmed := bytes.TrimSpace(data); {
	case bytes.Equal(trimmed, []byte("null")):
		p.Key = ""
		return nil
	case len(trimmed) > 0 && trimmed[0] == '"':
		return json.Unmarshal(trimmed, &p.Key)
	default:
		type plain Property
		d := json.NewDecoder(bytes.NewReader(trimmed))
		d.DisallowUnknownFields()
		return d.Decode((*plain)(p))
	}
}

var warsaw = func() *time.Location {
	l, err := time.LoadLocation("Europe/Warsaw")
	if err != nil {
		return time.UTC
	}
	return l
}()

// propertyValue is one property as it is to be, with the leniency of its comparison.
type propertyValue struct {
	Property
	want json.RawMessage
	// shortened accepts that Teamogy has cut a text: an explanation is still one when its end is missing.
	shortened bool
}

// propertyValues collects values in a fixed order; what has no key or no value is left out.
type propertyValues []propertyValue

func (v *propertyValues) text(p Property, s string) {
	if s != "" {
		v.add(p, encode(s))
	}
}

func (v *propertyValues) explanation(p Property, s string) {
	if s != "" && p.Key != "" {
		*v = append(*v, propertyValue{Property: p, want: encode(s), shortened: true})
	}
}

// amount writes money as invoices do, with two places: "105788.40". What has
// more of them (FA(3) allows up to eight in places) keeps them.
func (v *propertyValues) amount(p Property, d decimal.Decimal) {
	if p.Type == Number {
		v.add(p, json.RawMessage(d.String()))
		return
	}
	v.add(p, encode(d.StringFixed(max(2, -d.Exponent()))))
}

func (v *propertyValues) time(p Property, t time.Time) {
	if t.IsZero() {
		return
	}
	if p.Type == Date {
		v.add(p, encode(t.In(warsaw).Format(time.DateOnly)))
		return
	}
	v.add(p, encode(t.Format(time.RFC3339)))
}

// date writes the calendar day of t as it stands, whatever its location.
func (v *propertyValues) date(p Property, t time.Time) {
	if t.IsZero() {
		return
	}
	if p.Type == DateTime {
		day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, warsaw)
		v.add(p, encode(day.Format(time.RFC3339)))
		return
	}
	v.add(p, encode(t.Format(time.DateOnly)))
}

func (v *propertyValues) json(p Property, raw json.RawMessage) {
	if len(raw) > 0 {
		v.add(p, raw)
	}
}

func (v *propertyValues) add(p Property, raw json.RawMessage) {
	if p.Key != "" {
		*v = append(*v, propertyValue{Property: p, want: raw})
	}
}

func (v propertyValues) object() map[string]json.RawMessage {
	out := make(map[string]json.RawMessage, len(v))
	for _, p := range v {
		out[p.Key] = p.want
	}
	return out
}

// differing names the keys whose values in got are not the wanted ones.
func (v propertyValues) differing(got map[string]json.RawMessage) []string {
	var keys []string
	for _, p := range v {
		if !p.matches(got[p.Key]) {
			keys = append(keys, p.Key)
		}
	}
	return keys
}

// matches compares by meaning: a server may write a number or a time in another way than it was given.
func (p propertyValue) matches(got json.RawMessage) bool {
	want, have := scalarText(p.want), scalarText(got)
	if want == have {
		return want != "" || p.Type != JSON || jsonEqual(p.want, got)
	}
	switch p.Type {
	case Number, DecimalString:
		w, err1 := decimal.NewFromString(want)
		h, err2 := decimal.NewFromString(have)
		return err1 == nil && err2 == nil && w.Equal(h)
	case Date:
		return len(have) >= len(time.DateOnly) && have[:len(time.DateOnly)] == want
	case DateTime:
		return sameMoment(want, have)
	case JSON:
		return jsonEqual(p.want, got)
	}
	have = strings.TrimRight(have, " …")
	return p.shortened && have != "" && strings.HasPrefix(want, strings.TrimSuffix(have, "..."))
}

// sameMoment compares to the second; a time without offset may be Warsaw's or UTC.
func sameMoment(want, have string) bool {
	w, err := time.Parse(time.RFC3339, want)
	if err != nil {
		return false
	}
	var candidates []time.Time
	if h, err := time.Parse(time.RFC3339, have); err == nil {
		candidates = append(candidates, h)
	} else {
		for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
			for _, l := range []*time.Location{time.UTC, warsaw} {
				if h, err := time.ParseInLocation(layout, have, l); err == nil {
					candidates = append(candidates, h)
				}
			}
		}
	}
	for _, h := range candidates {
		if w.Sub(h).Abs() < time.Second {
			return true
		}
	}
	return false
}

// scalarText is a JSON string's text, a number's or boolean's digits, and "" for null, absence, objects and arrays.
func scalarText(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return ""
	}
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return ""
		}
		return s
	case '{', '[', 'n':
		return ""
	}
	return string(raw)
}

func jsonEqual(a, b json.RawMessage) bool {
	canonical := func(raw json.RawMessage) string {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil {
			return ""
		}
		return fmt.Sprintf("%#v", v) // maps print in the order of their keys
	}
	return canonical(a) == canonical(b)
}

// encode is json.Marshal without the escaping of <, > and &, for values that always encode.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return json.RawMessage("null")
	}
	return bytes.TrimSpace(b.Bytes())
}
