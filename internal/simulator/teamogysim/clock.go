package teamogysim

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// latestYear is as far as the time can be set: JSON's times end with 9999, and
// the rate may take it further.
const latestYear = 9000

// clock is the simulator's time: that of Config.Now, which the control API can
// set forward and let run faster or stand still.
type clock struct {
	base func() time.Time

	mu       sync.Mutex
	rate     float64
	since    time.Time // of base, when the rate or the time was last set
	then     time.Time // what the simulator's time was at since
	advanced time.Duration
}

func newClock(base func() time.Time) *clock {
	c := &clock{base: base}
	c.reset()
	return c
}

// reset goes back to the time of Config.Now.
func (c *clock) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rate, c.since, c.advanced = 1, c.base(), 0
	c.then = c.since
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at(c.base())
}

func (c *clock) at(base time.Time) time.Time {
	passed := base.Sub(c.since)
	if c.rate != 1 {
		passed = time.Duration(float64(passed) * c.rate)
	}
	return c.then.Add(passed)
}

// change sets the clock forward and gives it a new rate, where there is one.
func (c *clock) change(advance time.Duration, rate *float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	base := c.base()
	c.then, c.since = c.at(base).Add(advance), base
	c.advanced += advance
	if rate != nil {
		c.rate = *rate
	}
}

// forCaller is how long a caller, whose clock runs as usual, waits until d has
// passed here. A clock that stands still says d.
func (c *clock) forCaller(d time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rate == 0 || c.rate == 1 {
		return d
	}
	return time.Duration(float64(d) / c.rate)
}

// clockJSON is the clock as the control API shows it.
type clockJSON struct {
	Now      time.Time `json:"now"`
	Rate     float64   `json:"rate"`
	Advanced string    `json:"advanced"` // by how much it was set forward, in all
}

func (c *clock) json() clockJSON {
	c.mu.Lock()
	defer c.mu.Unlock()
	return clockJSON{Now: c.at(c.base()), Rate: c.rate, Advanced: c.advanced.String()}
}

// controlClock sets the clock forward ({"advance":"24h"}), changes its rate
// ({"rate":60}; 0 stops it), or both.
func (s *Simulator) controlClock(a *answer, r *http.Request) {
	var body struct {
		Advance *string  `json:"advance"`
		Rate    *float64 `json:"rate"`
	}
	if !decodeControl(a, r, &body) {
		return
	}
	advance, err := forward(body.Advance)
	switch {
	case err != nil:
		a.fail(http.StatusBadRequest, "%v", err)
	case body.Advance == nil && body.Rate == nil:
		a.fail(http.StatusBadRequest, `nothing to change: want {"advance":"24h"}, {"rate":60} or both`)
	case s.clock.now().Add(advance).Year() > latestYear:
		a.fail(http.StatusBadRequest, "advance %q: time ends with the year %d here", *body.Advance, latestYear)
	case body.Rate != nil && (*body.Rate < 0 || *body.Rate > 1e6):
		a.fail(http.StatusBadRequest, "rate %v: want 0 (stands still) to 1000000", *body.Rate)
	default:
		s.clock.change(advance, body.Rate)
		a.json(http.StatusOK, s.clock.json())
	}
}

func forward(text *string) (time.Duration, error) {
	if text == nil {
		return 0, nil
	}
	d, err := time.ParseDuration(*text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf(`advance %q: want a duration that is not negative, such as "90s", "15m" or "24h"`, *text)
	}
	return d, nil
}
