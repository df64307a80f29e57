package workflows

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/flow"
)

func TestChoose_followsFromWhatIsNewAndWhatIsLeftOfTheQuota(t *testing.T) {
	plenty := supplies{downloads: 15, exports: 15, inHour: 18, perHour: 18}
	usedUp := plenty
	usedUp.exports, usedUp.inHour = 0, 0
	none := plenty
	none.noPackages = true
	fewDownloads := plenty
	fewDownloads.downloads = 2
	unlimited := supplies{downloads: withoutLimit, exports: withoutLimit, inHour: withoutLimit}
	told := plenty // ONE_BY_ONE
	told.oneByOne = 25
	page := func(count, known int, more bool) flow.Found {
		return flow.Found{List: flow.ListRef{Count: count}, Known: known, HasMore: more}
	}
	for name, c := range map[string]struct {
		page     flow.Found
		supplies supplies
		back     bool
		want     way
		reason   string
	}{
		"nothing":                                {page(0, 0, false), plenty, false, nothingNew, "nothing new"},
		"all known":                              {page(12, 12, false), plenty, false, nothingNew, "nothing new"},
		"one":                                    {page(1, 0, false), plenty, false, oneByOne, "1 new invoices: one by one"},
		"ten":                                    {page(10, 0, false), plenty, false, oneByOne, "10 new invoices: one by one"},
		"ten new among many known":               {page(200, 190, false), plenty, false, oneByOne, "10 new invoices: one by one"},
		"25 where 25 are few":                    {page(25, 0, false), told, false, oneByOne, "25 new invoices: one by one"},
		"26 where 25 are few":                    {page(26, 0, false), told, false, byPackage, "26 new invoices: an export package; 17 of 18 exports left this hour"},
		"eleven":                                 {page(11, 0, false), plenty, false, byPackage, "11 new invoices: an export package; 17 of 18 exports left this hour"},
		"more than may be downloaded now":        {page(3, 0, false), fewDownloads, false, byPackage, "3 new invoices: an export package; 17 of 18 exports left this hour"},
		"more than a page":                       {page(250, 0, true), plenty, false, byPackage, "250 or more new invoices: an export package; 17 of 18 exports left this hour"},
		"more than a page, mostly known":         {page(250, 249, true), plenty, false, byList, "249 of the first 250 invoices are known: an export of the list alone; 17 of 18 exports left this hour"},
		"a look back over more than a page":      {page(250, 0, true), plenty, true, byList, "0 of the first 250 invoices are known: an export of the list alone; 17 of 18 exports left this hour"},
		"a look back at one page":                {page(200, 200, false), plenty, true, nothingNew, "nothing new"},
		"exports used up, and few enough":        {page(12, 0, false), usedUp, false, oneByOne, "12 new invoices: one by one, because the exports of this hour are used up"},
		"exports used up, and too many":          {page(200, 0, false), usedUp, false, byPackage, "200 new invoices: an export package; 0 of 18 exports left this hour"},
		"no packages to be had":                  {page(250, 0, true), none, false, oneByOne, "250 or more new invoices: one by one, because export packages cannot be had at present"},
		"nothing new, and no packages to be had": {page(3, 3, false), none, false, nothingNew, "nothing new"},
		"no limits":                              {page(250, 0, true), unlimited, false, byPackage, "250 or more new invoices: an export package; exports have no limit"},
	} {
		t.Run(name, func(t *testing.T) {
			how, reason := choose(c.page, c.supplies, c.back)
			require.Equal(t, c.want, how)
			require.Equal(t, c.reason, reason)
		})
	}
}

// Whoever looks at the workflow in the Web UI sees how the last invoices were
// brought, why, and what is left of the quota.
func TestReceiveInvoices_showsInItsDetailsHowInvoicesAreBroughtAndWhy(t *testing.T) {
	for name, c := range map[string]struct {
		count        int
		fault        string
		choice, last string
	}{
		"few":  {3, "", "3 new invoices: one by one", "3 new invoices: one by one"},
		"many": {40, "", "40 new invoices: an export package; 17 of 18 exports left this hour", "17 of 18 exports left this hour"},
		"stuck": {
			40, flow.ExportRunning, "40 new invoices: an export package; 17 of 18 exports left this hour",
			"because export packages cannot be had: several in a row could not be had",
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t, "acme/receive")
			k := exporting(e, 250, 10_000)
			k.fault = func(int) string { return c.fault }
			k.full = func(in flow.StartImportsInput) bool { return in.Packed && e.Now().Before(start.Add(20*time.Minute)) }
			k.seed(c.count, start.AddDate(0, 0, -10))
			e.after(10*time.Minute, func() { require.Contains(t, e.details(), "\n\n"+c.choice, "while it is under way") })
			e.after(4*time.Hour+30*time.Minute, func() {
				require.Contains(t, e.details(), fmt.Sprintf("%d invoices found, %d imports started, last asked ", c.count, c.count))
				require.Contains(t, e.details(), c.last)
				e.CancelWorkflow()
			})
			e.ExecuteWorkflow(flow.ReceiveInvoices, receiveInput)
			k.allStarted(t)
		})
	}
}
