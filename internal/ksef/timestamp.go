package ksef

import (
	"encoding/json"
	"strings"
	"time"
)

// timestamp reads KSeF's times: ISO 8601 with up to seven fractional digits and
// with or without a zone (KSeF means UTC then). What cannot be read becomes the
// zero time, so that one odd field does not spoil a whole answer.
type timestamp struct{ time.Time }

func (t *timestamp) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		s = ""
	}
	t.Time = parseTime(s)
	return nil
}

func parseTime(s string) time.Time {
	s = strings.TrimSpace(s)
	for _, layout := range []string{
		time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00",
		"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02",
	} {
		// Parse accepts a fraction of a second although the layout has none.
		// A year that JSON cannot write may come of the offset.
		if t, err := time.Parse(layout, s); err == nil && t.UTC().Year() >= 0 && t.UTC().Year() <= 9999 {
			return t.UTC()
		}
	}
	return time.Time{}
}

// formatTime writes a time for KSeF with its full precision and an offset: a
// time without one would be read as Polish local time.
func formatTime(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.0000000Z07:00")
}

// texts reads a list of texts, and also a single text or null in its place.
type texts []string

func (t *texts) UnmarshalJSON(b []byte) error {
	*t = nil
	var list []any
	if json.Unmarshal(b, &list) == nil {
		for _, item := range list {
			if s, ok := item.(string); ok {
				*t = append(*t, s)
			}
		}
		return nil
	}
	var s string
	if json.Unmarshal(b, &s) == nil && s != "" {
		*t = texts{s}
	}
	return nil
}
