package teamogy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/teamogy"
)

// hiding are tenants that make it hard to find a document by its KSeF number.
var hiding = []fields{
	{},
	{"filterProperties": "ignored"},
	{"filterProperties": "refused"},
	{"filterProperties": "matches-nothing"},
	{"viewDelaySeconds": 30},
	{"newDelaySeconds": 600},
	{"searchDelaySeconds": 600},
	{"sortOrder": "shuffled", "pageLimit": 3},
	{"saveAnswer": "empty"},
	{"absentViews": []string{"invoices.purchase"}},
}

// TestVariants_receivedSearch takes the steps with every value of FieldMap.ReceivedSearch. Views that are later than
// viewLagSeconds, of which the product was not told, make no second document.
func TestVariants_receivedSearch(t *testing.T) {
	t.Parallel()
	absent := looking("there is no view invoices.purchase")
	for _, search := range []string{teamogy.SearchFilter, teamogy.SearchScan, teamogy.SearchNone} {
		for _, settings := range hiding {
			t.Run(fmt.Sprint(search, " ", inJSON(settings)), func(t *testing.T) {
				t.Parallel()
				b := newBed(t, settings)
				b.fields.ReceivedSearch = search
				b.open()
				fails := map[string]string{}
				switch {
				case search == teamogy.SearchNone && settings["saveAnswer"] == "empty":
					fails = receiving("a person must look") // no answer ever names a document
				case search == teamogy.SearchNone: // lost ones are found right above the ids that are known
				case settings["absentViews"] != nil:
					fails = absent
				}
				b.take(fails)
			})
		}
	}
}

// TestEdgeA_aLostCreateMakesOneDocumentInEverySearch has the worker killed at the create, so that nothing is left but
// the record's time. Which bytes are sent again is the record's business: see the activities' tests.
func TestEdgeA_aLostCreateMakesOneDocumentInEverySearch(t *testing.T) {
	t.Parallel()
	for _, search := range []string{teamogy.SearchFilter, teamogy.SearchScan, teamogy.SearchNone} {
		for _, fault := range []string{"answer-dropped", "request-dropped", "bad-gateway", "bad-gateway-after", "truncated", "reset", "reset-after"} {
			t.Run(search+" "+fault, func(t *testing.T) {
				t.Parallel()
				b := newBed(t, fields{"viewDelaySeconds": 20})
				b.fields.ReceivedSearch = search
				client := b.fresh(nil)
				b.control("POST", "faults", fields{"operation": "POST /documents", "name": fault}, nil)
				prepared, err := client.PreparePurchaseInvoice(teamogy.NewPurchaseInvoice{Kind: "VAT", OwnerID: 1, Status: "IMPORTED", KSeFNumber: number(7001)})
				require.NoError(t, err)
				begun := b.clock.now()
				_, err = client.CreatePrepared(t.Context(), prepared, begun)
				e, ok := teamogy.AsError(err)
				require.True(t, ok)
				require.True(t, e.MayHaveHappened(), "%v", err)

				client = b.fresh(nil) // the worker was killed; the record knows when it began
				client.RecallDoubt(number(7001), begun, 0)
				posts := 1
				err = b.again(func() error {
					found, exists, err := client.FindDocumentByKSeFNumber(t.Context(), number(7001))
					if err != nil || exists {
						return err
					}
					posts++
					found, err = client.CreatePrepared(t.Context(), prepared, b.clock.now())
					assert.NotZero(t, found.ID)
					return err
				})
				if search == teamogy.SearchNone {
					e, ok = teamogy.AsError(err)
					require.True(t, ok)
					assert.Equal(t, teamogy.OutcomeUnknown, e.Kind)
					assert.Equal(t, 1, posts, "it was repeated")
					assert.LessOrEqual(t, len(b.with(number(7001))), 1)
					return
				}
				require.NoError(t, err)
				assert.Len(t, b.with(number(7001)), 1)
				assert.LessOrEqual(t, posts, 2)
				if posts == 2 {
					assert.GreaterOrEqual(t, b.clock.now().Sub(begun), 15*time.Minute)
				}
			})
		}
	}
}
