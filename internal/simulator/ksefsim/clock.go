package ksefsim

import (
	"fmt"
	"sync"
	"time"
)

// latestYear is as far as the time can be moved: the API's times and dates end
// with 9999, and the rate may take it further.
const latestYear = 9000

// simClock is the simulator's time: it runs with the clock underneath, at a
// rate, and can be moved forward. It never goes back by itself; a skew, which
// a fault sets, shifts what callers see of it in either direction.
type simClock struct {
	source func() time.Time

	mu       sync.Mutex
	realBase time.Time // of source, when the present rate began
	base     time.Time // simulated time at realBase
	rate     float64
	skew     time.Duration
}

func newSimClock(source func() time.Time) *simClock {
	now := source()
	return &simClock{source: source, realBase: now, base: now, rate: 1}
}

// steady is the simulated time without skew: it only moves forward, so that
// quotas can be counted with it.
func (c *simClock) steady() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.steadyLocked()
}

func (c *simClock) steadyLocked() time.Time {
	gone := c.source().Sub(c.realBase)
	if c.rate != 1 {
		gone = time.Duration(float64(gone) * c.rate)
	}
	return c.base.Add(gone)
}

// now is the time that callers see.
func (c *simClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.steadyLocked().Add(c.skew)
}

// advance moves the time forward.
func (c *simClock) advance(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("advance %v: time goes forward only; a clock that is wrong is the fault %q", d, faultClockSkew)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.steadyLocked().Add(d).Year() > latestYear {
		return fmt.Errorf("advance %v: time ends with the year %d here", d, latestYear)
	}
	c.base = c.base.Add(d)
	return nil
}

// reaches says what is wrong with a moment to which the time is to be moved.
func (c *simClock) reaches(to time.Time) error {
	now := c.now()
	if ahead := to.Sub(now); !now.Add(ahead).Equal(to) {
		return fmt.Errorf("set %s: that is too far from the present, %s, for one step", to.Format(time.RFC3339), now.Format(time.RFC3339))
	}
	if to.Year() > latestYear {
		return fmt.Errorf("set %s: time ends with the year %d here", to.Format(time.RFC3339), latestYear)
	}
	if to.Before(now) {
		return fmt.Errorf("set %s: that is before the present, %s, and time goes forward only", to.Format(time.RFC3339), now.Format(time.RFC3339))
	}
	return nil
}

// jump moves the time forward to what callers shall see.
func (c *simClock) jump(to time.Time) error {
	if err := c.reaches(to); err != nil {
		return err
	}
	return c.advance(max(to.Sub(c.now()), 0))
}

func checkRate(rate float64) error {
	if rate < 0 || rate > 1e6 {
		return fmt.Errorf("rate %v: must be 0 (stands still) to 1000000", rate)
	}
	return nil
}

// run sets how many seconds pass in one: 1 is real time, 0 stands still.
func (c *simClock) run(rate float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.source()
	c.base, c.realBase = c.steadyLocked(), now
	c.rate = rate
}

func (c *simClock) setSkew(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skew = d
}

// setSkew shifts what callers see of the time. When it goes back, what comes
// into permanent storage from then on is not put behind what came before.
func (s *Simulator) setSkew(d time.Duration) {
	s.clock.setSkew(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store.last = earlier(s.store.last, s.now())
}

// clockState is what GET /_sim/clock shows.
type clockState struct {
	Now         string  `json:"now"`
	Warsaw      string  `json:"warsaw"`
	Rate        float64 `json:"rate"`
	SkewSeconds float64 `json:"skewSeconds"`
	TimeScale   float64 `json:"timeScale"`
}

func (s *Simulator) clockState() clockState {
	now := s.now()
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	return clockState{
		Now: stamp(now), Warsaw: now.In(s.warsaw).Format(time.RFC3339), Rate: s.clock.rate,
		SkewSeconds: s.clock.skew.Seconds(), TimeScale: s.cfg.TimeScale,
	}
}

// nextWarsawMidnight is the beginning of the next Polish calendar day.
func (s *Simulator) nextWarsawMidnight(now time.Time) time.Time {
	local := now.In(s.warsaw)
	return time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, s.warsaw)
}

// nextTransition is the next moment at which Polish clocks change: forward in
// spring, back in autumn.
func (s *Simulator) nextTransition(now time.Time, spring bool) time.Time {
	at := now.In(s.warsaw)
	for range 3 {
		_, end := at.ZoneBounds()
		if end.IsZero() {
			return now
		}
		_, before := at.Zone()
		_, after := end.Zone()
		if (after > before) == spring {
			return end
		}
		at = end
	}
	return now
}
