package teamogy

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

func sampleInvoice() NewPurchaseInvoice {
	return NewPurchaseInvoice{
		Kind: "KOR", OwnerID: 5, CompanyID: 11, Status: "IMPORTED", Process: json.RawMessage(`{"id":"P-1"}`),
		ParticipantIDs: []int64{6, 7}, Tags: []string{"check"}, Note: "supplier unknown",
		KSeFNumber: wantedNumber, InvoiceNumber: "FV/2026/<11>&7", SellerNIP: nip, SellerName: "Łąka Sp. z o.o.",
		Currency: "EUR", ExchangeRate: decimal.RequireFromString("4.3012"), BankAccount: "PL61109010140000071219812874", PaymentForm: "6",
		IssueDate: day(2026, 11, 20), SupplyDate: day(2026, 11, 19), DueDate: day(2026, 12, 4), ReceivedDate: day(2026, 11, 22),
		Net: decimal.RequireFromString("-1000.10"), VAT: decimal.RequireFromString("0"), Gross: decimal.RequireFromString("-1000.10"),
		AcquisitionDate: time.Date(2026, 11, 21, 23, 30, 15, 999, time.UTC), XMLSHA256: "ab12",
		Items: json.RawMessage(`[{"name":"x"}]`),
	}
}

func TestCreate_sendsEveryFieldInItsForm(t *testing.T) {
	clock := newSteps()
	clock.now = time.Date(2026, 11, 22, 23, 30, 0, 0, time.UTC) // the 23rd in Warsaw
	f := newTenant(t)
	d, err := f.client(func(o *Options) { o.Now = clock.Now }).CreatePurchaseInvoice(background(), sampleInvoice())
	require.NoError(t, err)
	assert.Equal(t, int64(101), d.ID)
	assert.Equal(t, "D-101", d.Number)
	assert.Equal(t, "INVOICE.PURCHASE.CORRECTION", d.Type)
	assert.Equal(t, wantedNumber, d.KSeFNumber)
	assert.JSONEq(t, `{
		"type":"INVOICE.PURCHASE.CORRECTION","agencyId":7,"ownerId":5,"companyId":11,"status":"IMPORTED","statusDate":"2026-11-23",
		"participantIds":[6,7],"process":{"id":"P-1"},"tags":["check"],
		"properties":{"ksefNumber":"5265877635-20260222-0100001AF629-AF","ksefAcceptedAt":"2026-11-21T23:30:15Z","ksefNote":"supplier unknown",
			"ksefHash":"ab12","counterpartyNumber":"FV/2026/<11>&7","sellerNip":"5265877635","sellerName":"Łąka Sp. z o.o.",
			"issueDate":"2026-11-20","supplyDate":"2026-11-19","dueDate":"2026-12-04","receiptDate":"2026-11-22","paymentCondition":"6",
			"bankAccount":"PL61109010140000071219812874","currency":"EUR","totalNet":-1000.1,"totalVat":0,"totalGross":-1000.1,
			"exchangeRate":4.3012,"items":[{"name":"x"}]}}`, string(f.bodies[http.MethodPost][0]))
	assert.Contains(t, string(f.bodies[http.MethodPost][0]), `"totalNet":-1000.1`, "no float in between")
}

func TestCreate_leavesOutWhatIsUnknownOrNotConfigured(t *testing.T) {
	f := newTenant(t)
	c := f.client(func(o *Options) {
		o.Fields = DefaultFieldMap()
		o.Fields.Properties.KSeFNote.Key = ""
		o.Fields.Properties.TotalGross.Type = DecimalString
		o.Fields.Properties.KSeFAcceptedAt.Type = Date
	})
	_, err := c.CreatePurchaseInvoice(background(), NewPurchaseInvoice{KSeFNumber: wantedNumber, Note: "unreadable XML"})
	require.NoError(t, err)
	assert.JSONEq(t, `{"type":"INVOICE.PURCHASE","agencyId":7,"properties":{"ksefNumber":"5265877635-20260222-0100001AF629-AF"}}`,
		string(f.bodies[http.MethodPost][0]))
	_, err = c.CreatePurchaseInvoice(background(), NewPurchaseInvoice{
		KSeFNumber: received(1), Type: "MY.TYPE", Currency: "PLN", Gross: decimal.RequireFromString("10.50"),
		AcquisitionDate: time.Date(2026, 11, 21, 23, 30, 0, 0, time.UTC),
	})
	require.NoError(t, err)
	body := string(f.bodies[http.MethodPost][1])
	assert.Contains(t, body, `"totalGross":"10.50"`)
	assert.Contains(t, body, `"ksefAcceptedAt":"2026-11-22"`, "Warsaw's day")
	assert.Contains(t, body, `"MY.TYPE"`)
}

func TestCreate_namesTheStatusThatTeamogyMayNotKnow(t *testing.T) {
	f := newTenant(t)
	n := sampleInvoice()
	n.Status = "UNKNOWN"
	_, err := f.client().CreatePurchaseInvoice(background(), n)
	e, ok := AsError(err)
	require.True(t, ok)
	assert.Equal(t, UnknownStatus, e.Kind)
	assert.Equal(t, "UNKNOWN", e.DocumentStatus)
	assert.Contains(t, err.Error(), `"UNKNOWN"`)

	n.Status = ""
	_, err = fixed(t, 400, nil, `bad`).CreatePurchaseInvoice(background(), n)
	assert.Equal(t, Invalid, kindOfError(t, err))
}

func TestCreate_doesNotBlameTheStatusForAnotherRefusal(t *testing.T) {
	_, err := fixed(t, 400, nil, `{"message":"companyId is missing"}`).CreatePurchaseInvoice(background(), sampleInvoice())
	assert.Equal(t, Invalid, kindOfError(t, err))
	for _, part := range []string{"companyId is missing", "a company is required", "the owner", "a property", `"IMPORTED"`} {
		assert.ErrorContains(t, err, part)
	}
}

func TestCreate_readsTheShapesOfItsAnswer(t *testing.T) {
	for _, answer := range []string{`{"id":9,"number":"N"}`, `9`, `"9"`, `{"data":{"id":"9"}}`, `[{"id":9}]`, `{"documentId":9}`, `{"data":9}`} {
		c := served(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				w.WriteHeader(http.StatusForbidden) // proof of saving is not possible here, which is no failure
				return
			}
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(answer))
		})
		d, err := c.CreatePurchaseInvoice(background(), sampleInvoice())
		require.NoError(t, err, answer)
		assert.Equal(t, int64(9), d.ID, answer)
	}
	for _, answer := range []string{``, `{}`, `[]`, `{"ok":true}`, `[1,2]`, `<x>`} {
		c := fixed(t, 200, nil, answer)
		_, err := c.CreatePurchaseInvoice(background(), sampleInvoice())
		assert.Equal(t, BadAnswer, kindOfError(t, err), answer)
		_, inDoubt := c.received.doubtOf(wantedNumber)
		assert.True(t, inDoubt, "it was created")
	}
}

func TestCreate_looksForTheDocumentThatTheAnswerDoesNotName(t *testing.T) {
	f := newTenant(t)
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			f.ServeHTTP(w, r)
			return
		}
		f.ServeHTTP(httptest.NewRecorder(), r)
		w.WriteHeader(http.StatusCreated)
	})
	d, err := c.CreatePurchaseInvoice(background(), sampleInvoice())
	require.NoError(t, err)
	assert.Equal(t, int64(101), d.ID)
	again, found, err := c.FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err)
	assert.True(t, found)
	assert.Equal(t, d.ID, again.ID)
	assert.Equal(t, 1, f.seen("POST"))
}

func TestCreate_saysWhenTeamogyDidNotKeepTheNumber(t *testing.T) {
	f := newTenant(t)
	f.dropKeys = []string{"ksefNumber"}
	c := f.client()
	d, err := c.CreatePurchaseInvoice(background(), sampleInvoice())
	assert.Equal(t, NotSaved, kindOfError(t, err))
	assert.Equal(t, int64(101), d.ID, "the document exists all the same")
	_, found, err := c.FindDocumentByKSeFNumber(background(), wantedNumber)
	require.NoError(t, err)
	assert.True(t, found, "so a repeat does not create another")
	_, _, err = c.FindDocumentByKSeFNumber(background(), received(1))
	assert.Equal(t, NotSearchable, kindOfError(t, err), "and no other is created before it is mended")
}

func TestCreate_readsBackOnlyUntilSavingIsProven(t *testing.T) {
	f := newTenant(t)
	c := f.client()
	for i := range 3 {
		n := sampleInvoice()
		n.KSeFNumber = received(i)
		_, err := c.CreatePurchaseInvoice(background(), n)
		require.NoError(t, err)
	}
	assert.Equal(t, 1, f.seen("GET documents"))
}

func TestCreate_refusesWhatCannotBeSent(t *testing.T) {
	f := newTenant(t)
	_, err := f.client().CreatePurchaseInvoice(background(), NewPurchaseInvoice{})
	assert.Equal(t, Invalid, kindOfError(t, err))
	n := sampleInvoice()
	n.Process = json.RawMessage(`{bad`)
	_, err = f.client().CreatePurchaseInvoice(background(), n)
	assert.Equal(t, Invalid, kindOfError(t, err))
	assert.Empty(t, f.requests)
}

func TestDocument_readsTheShapesOfACompany(t *testing.T) {
	for answer, want := range map[string]string{
		`{"id":5,"companyId":9,"companyName":"Alfa"}`:      "Alfa",
		`{"id":5,"company":{"id":9,"name":"Alfa"}}`:        "Alfa",
		`{"id":5,"companyId":9,"company":"Alfa"}`:          "Alfa",
		`[{"id":4},{"id":5,"companyId":"9"}]`:              "",
		`{"data":{"type":"X","companyId":9,"company":{}}}`: "",
	} {
		d, err := fixed(t, 200, nil, answer).Document(background(), 5)
		require.NoError(t, err, answer)
		assert.Equal(t, int64(5), d.ID)
		assert.Equal(t, int64(9), d.CompanyID, answer)
		assert.Equal(t, want, d.CompanyName, answer)
	}
}

// Many creates at once cost one proof that numbers are kept, and each is told where they are not.
func TestCreate_provesOnceThatNumbersAreKept(t *testing.T) {
	for _, kept := range []bool{true, false} {
		f := newTenant(t)
		if !kept {
			f.dropKeys = []string{"ksefNumber"}
		}
		c := f.client()
		var wg sync.WaitGroup
		for n := range 50 {
			wg.Go(func() {
				d, err := c.CreatePurchaseInvoice(background(), NewPurchaseInvoice{KSeFNumber: received(n)})
				assert.NotZero(t, d.ID)
				if kept {
					assert.NoError(t, err)
				} else {
					assert.Equal(t, NotSaved, kindOfError(t, err))
				}
			})
		}
		wg.Wait()
		if kept {
			assert.Equal(t, 1, f.seen("GET documents"))
		}
	}
}
