package activities

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
	"teamogy-ksef/internal/ksef"
	"teamogy-ksef/internal/simulator/samples"
)

// clockOfKSeF is a KSeF that tells nothing but the time.
type clockOfKSeF struct {
	KSeFClient
	now   time.Time
	asked int
}

func (c *clockOfKSeF) RateLimits(context.Context) (ksef.RateLimits, error) {
	c.asked++
	return nil, nil
}

func (c *clockOfKSeF) ServerTime() time.Time { return c.now }

// Right after midnight a clock that is ten minutes behind still has yesterday:
// an invoice of today must not be refused for that.
func TestValidateInvoice_letsKSeFsClockDecideWhetherADayHasBegun(t *testing.T) {
	today := time.Date(2026, 11, 22, 23, 3, 0, 0, time.UTC) // the 23rd in Warsaw
	for name, c := range map[string]struct {
		dated, ours, theirs time.Time
		want                string
		asked               int
	}{
		"our clock is behind":              {dated: today, ours: today.Add(-10 * time.Minute), theirs: today, asked: 1},
		"it is tomorrow's by both":         {dated: today, ours: today.Add(-10 * time.Minute), theirs: today.Add(-9 * time.Minute), want: flow.ErrIssueDateFuture, asked: 1},
		"it is of a day that is far away":  {dated: today.AddDate(0, 0, 2), ours: today, theirs: today, want: flow.ErrIssueDateFuture},
		"both clocks agree":                {dated: today, ours: today, theirs: today},
		"our clock is ahead of KSeF's day": {dated: today, ours: today, theirs: today.Add(-10 * time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			fake := &clockOfKSeF{now: c.theirs}
			k := &KSeF{base: testBase(t, fake)}
			k.Now = func() time.Time { return c.ours }
			xml := samples.GenerateIssued(samples.Options{Seed: 1, OurNIP: "5265877635", Today: c.dated.In(Warsaw)}, 1)[0].XML
			ref, err := k.Archive.PutDocument(t.Context(), xml)
			require.NoError(t, err)
			_, err = ran(t, k.ValidateInvoice, flow.ValidateInput{Connection: "acme", DocumentID: 17, Document: flow.Ref(ref)})
			if c.want == "" {
				require.NoError(t, err)
			} else {
				require.Equal(t, c.want, typeOfFailure(t, err))
			}
			require.Equal(t, c.asked, fake.asked)
		})
	}
}
