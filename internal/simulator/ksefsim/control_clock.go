package ksefsim

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// simClock answers GET /_sim/clock.
func (s *Simulator) simClock(*http.Request) (any, error) { return s.clockState(), nil }

// simMoveClock answers POST /_sim/clock: the time is moved forward by a
// duration or to a moment, and made to run faster or slower from then on. At
// the new moment everything has happened that was due before.
func (s *Simulator) simMoveClock(r *http.Request) (any, error) {
	var body struct {
		Advance string     `json:"advance"` // as in Go: 90s, 15m, 24h
		Set     *time.Time `json:"set"`
		Rate    *float64   `json:"rate"`
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	var ahead time.Duration
	if body.Advance != "" {
		var err error
		if ahead, err = time.ParseDuration(body.Advance); err != nil {
			return nil, fmt.Errorf("advance %q: want a duration like 90s, 15m or 24h", body.Advance)
		}
	}
	if body.Set != nil && body.Advance != "" {
		return nil, errors.New("advance and set exclude each other")
	}
	if body.Set != nil {
		if err := s.clock.reaches(*body.Set); err != nil {
			return nil, err
		}
	}
	if body.Rate != nil {
		if err := checkRate(*body.Rate); err != nil {
			return nil, err
		}
	}
	if err := s.clock.advance(ahead); err != nil { // the last that can fail: all or nothing happens
		return nil, err
	}
	if body.Rate != nil {
		s.clock.run(*body.Rate)
	}
	if body.Set != nil {
		if err := s.clock.jump(*body.Set); err != nil {
			return nil, err
		}
	}
	s.lock(s.now())
	s.mu.Unlock()
	return s.clockState(), nil
}

// simLimits answers GET /_sim/limits: the quotas that hold, as
// GET /rate-limits shows them to a context (?context=NIP).
func (s *Simulator) simLimits(r *http.Request) (any, error) {
	return s.limits.limitsOf(r.URL.Query().Get("context")), nil
}

// simSetLimits answers POST /_sim/limits: a named set of quotas for everybody
// (production, tenfold, off), single groups changed in it, or, with a context,
// groups for that context alone. What was counted is forgotten.
func (s *Simulator) simSetLimits(r *http.Request) (any, error) {
	var body struct {
		Limits  string                     `json:"limits"`
		Groups  map[string]rateLimitChange `json:"groups"`
		Context string                     `json:"context"`
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	name := body.Limits
	if name == "" {
		name = s.limits.called()
	}
	limits, err := limitsNamed(name)
	if err != nil {
		return nil, err
	}
	for group, change := range body.Groups {
		if limits, err = withGroups(limits, map[string]RateLimit{group: change.of(limits[group])}); err != nil {
			return nil, err
		}
	}
	s.limits.forget()
	if body.Context != "" {
		s.limits.override(body.Context, limits)
	} else {
		s.limits.replace(name, limits)
	}
	return s.limits.limitsOf(body.Context), nil
}

// rateLimitChange is what of a quota shall be another; what is left out stays.
type rateLimitChange struct {
	PerSecond *int `json:"perSecond"`
	PerMinute *int `json:"perMinute"`
	PerHour   *int `json:"perHour"`
}

func (c rateLimitChange) of(limit RateLimit) RateLimit {
	for into, given := range map[*int]*int{&limit.PerSecond: c.PerSecond, &limit.PerMinute: c.PerMinute, &limit.PerHour: c.PerHour} {
		if given != nil {
			*into = *given
		}
	}
	return limit
}
