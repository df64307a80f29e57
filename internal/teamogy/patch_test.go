package teamogy

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var accepted = SalesPatch{
	Status: "SENT.TO.KSEF", KSeFNumber: wantedNumber, KSeFStatus: "ACCEPTED",
	AcceptedAt: time.Date(2026, 11, 22, 14, 38, 6, 123456789, time.UTC), Mode: "online",
	VerificationLink: "https://qr.example/invoice/1?a=b&c=d", UPOReference: "upo/1.xml", SessionReference: "20261122-SO-1",
}

func issued(f *tenant) int64 {
	return f.add(map[string]any{
		"ksefXml": "<Faktura/>", "poNumber": "PO-1", "amount": 12.5, "nested": map[string]any{"a": []any{1, nil}}, "nothing": nil, "ksefStatus": "SENDING",
	}, map[string]any{"type": "INVOICE.SALES", "status": "READY.FOR.KSEF"})
}

func TestPatch_endsTheSameWhetherTheServerMergesOrReplaces(t *testing.T) {
	var results []map[string]any
	for _, replaces := range []bool{false, true} {
		for _, mode := range []string{PatchReadModifyWrite, PatchMerge} {
			f := newTenant(t)
			f.replaces = replaces
			id := issued(f)
			c := f.client(func(o *Options) { o.Fields = DefaultFieldMap(); o.Fields.PatchMode = mode })
			require.NoError(t, c.PatchSalesInvoice(background(), id, accepted))
			d := maps.Clone(f.document(id))
			assert.Equal(t, "SENT.TO.KSEF", d["status"])
			results = append(results, d)
			patches := 1
			if replaces && mode == PatchMerge {
				patches = 2 // it put back what was wiped
			}
			assert.Equal(t, patches, f.seen("PATCH"))

			other := issued(f)
			require.NoError(t, c.PatchSalesInvoice(background(), other, accepted))
			assert.Equal(t, patches+1, f.seen("PATCH"), "it has learnt")
		}
	}
	for _, r := range results {
		properties := r["properties"].(map[string]any)
		delete(properties, "nothing") // null, or left away
		assert.JSONEq(t, `{
			"ksefXml":"<Faktura/>","poNumber":"PO-1","amount":12.5,"nested":{"a":[1,null]},
			"ksefNumber":"5265877635-20260222-0100001AF629-AF","ksefStatus":"ACCEPTED","ksefAcceptedAt":"2026-11-22T14:38:06Z",
			"ksefMode":"online","ksefVerificationLink":"https://qr.example/invoice/1?a=b&c=d","ksefUpo":"upo/1.xml",
			"ksefReferenceNumber":"20261122-SO-1"}`, string(encode(properties)))
	}
}

func TestPatch_doesNothingWhenItIsRightAlready(t *testing.T) {
	f := newTenant(t)
	id := issued(f)
	c := f.client()
	require.NoError(t, c.PatchSalesInvoice(background(), id, accepted))
	require.NoError(t, c.PatchSalesInvoice(background(), id, accepted))
	again := accepted
	again.AcceptedAt = accepted.AcceptedAt.In(warsaw)
	require.NoError(t, c.PatchSalesInvoice(background(), id, again), "the same moment in another zone")
	assert.Equal(t, 1, f.seen("PATCH"))
}

func TestPatch_sendsNoStatusThatIsThereAlready(t *testing.T) {
	f := newTenant(t)
	id := issued(f)
	require.NoError(t, f.client().PatchSalesInvoice(background(), id, SalesPatch{Status: "READY.FOR.KSEF", KSeFStatus: "WAITING"}))
	assert.NotContains(t, string(f.bodies[http.MethodPatch][0]), "READY.FOR.KSEF")
}

func TestPatch_mergeSendsOnlyWhatChanges(t *testing.T) {
	f := newTenant(t)
	id := issued(f)
	c := f.client(func(o *Options) { o.Fields = DefaultFieldMap(); o.Fields.PatchMode = PatchMerge })
	require.NoError(t, c.PatchSalesInvoice(background(), id, SalesPatch{Status: "REJECTED.BY.KSEF", Message: "Kod 450: błąd"}))
	assert.NotContains(t, string(f.bodies[http.MethodPatch][0]), "ksefXml")
	assert.Equal(t, "REJECTED.BY.KSEF", f.document(id)["status"])
}

func TestPatch_saysWhatWasNotSaved(t *testing.T) {
	f := newTenant(t)
	f.dropKeys = []string{"ksefUpo", "ksefMode"}
	err := f.client().PatchSalesInvoice(background(), issued(f), accepted)
	assert.Equal(t, NotSaved, kindOfError(t, err))
	assert.Contains(t, err.Error(), "ksefMode, ksefUpo")

	f = newTenant(t)
	f.dropKeys = []string{"poNumber"}
	f.replaces = true
	err = f.client().PatchSalesInvoice(background(), issued(f), accepted)
	assert.Equal(t, NotSaved, kindOfError(t, err))
	assert.Contains(t, err.Error(), "poNumber")
}

func TestPatch_neverWritesASecondNumberOverAnother(t *testing.T) {
	f := newTenant(t)
	id := f.add(map[string]any{"ksefNumber": received(1)})
	err := f.client().PatchSalesInvoice(background(), id, accepted)
	assert.Equal(t, Conflict, kindOfError(t, err))
	assert.Zero(t, f.seen("PATCH"))
}

func TestPatch_namesTheStatusThatTeamogyMayNotKnow(t *testing.T) {
	f := newTenant(t)
	err := f.client().PatchSalesInvoice(background(), issued(f), SalesPatch{Status: "UNKNOWN", KSeFNumber: wantedNumber})
	e, ok := AsError(err)
	require.True(t, ok)
	assert.Equal(t, UnknownStatus, e.Kind)
	assert.Equal(t, "UNKNOWN", e.DocumentStatus)
	err = f.client().PatchSalesInvoice(background(), 9999, accepted)
	assert.Equal(t, NotFound, kindOfError(t, err))
}

func TestPatch_neverTakesA404ToThePatchForADeletedDocument(t *testing.T) {
	f := newTenant(t)
	id := issued(f)
	deleted := false
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch || deleted {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		f.ServeHTTP(w, r)
	})
	assert.Equal(t, Forbidden, kindOfError(t, c.PatchSalesInvoice(background(), id, accepted)))
	deleted = true
	assert.Equal(t, NotFound, kindOfError(t, c.PatchSalesInvoice(background(), id, accepted)))
}

func TestPatch_namesTheOtherPropertiesThatWentWithARefusedOne(t *testing.T) {
	f := newTenant(t)
	id := f.add(map[string]any{"projectCode": "P-7", "ksefMessage": "x"}, map[string]any{"type": "INVOICE.SALES"})
	err := f.client().PatchSalesInvoice(background(), id, SalesPatch{Status: "UNKNOWN", Message: "y"})
	require.ErrorContains(t, err, "(projectCode)")
	assert.ErrorContains(t, err, "patchMode")
}

func TestPatch_clearsAnOldMessage(t *testing.T) {
	for _, replaces := range []bool{false, true} {
		f := newTenant(t)
		f.replaces = replaces
		id := f.add(map[string]any{"ksefMessage": "old reason", "x": "y"}, map[string]any{"type": "INVOICE.SALES"})
		patch := accepted
		patch.ClearMessage = true
		require.NoError(t, f.client().PatchSalesInvoice(background(), id, patch))
		properties := f.document(id)["properties"].(map[string]any)
		assert.Empty(t, properties["ksefMessage"])
		assert.Equal(t, "y", properties["x"])
	}
}

func TestMatches_comparesByMeaning(t *testing.T) {
	long := strings.Repeat("reason ", 100)
	for _, test := range []struct {
		kind       ValueType
		want, have string
		same       bool
	}{
		{Text, `"a"`, `"a"`, true},
		{Text, `"a"`, `"b"`, false},
		{Text, `"a"`, `null`, false},
		{Text, `""`, `null`, true},
		{Text, `""`, ``, true},
		{Text, `"1"`, `1`, true},
		{Text, `"abc"`, `"ab"`, false},
		{Number, `12.50`, `12.5`, true},
		{Number, `12.50`, `"12.5"`, true},
		{Number, `12.50`, `12.51`, false},
		{DecimalString, `"0"`, `0.00`, true},
		{Date, `"2026-11-22"`, `"2026-11-22T00:00:00"`, true},
		{Date, `"2026-11-22"`, `"2026-11-23"`, false},
		{DateTime, `"2026-11-22T14:38:06Z"`, `"2026-11-22T15:38:06.000+01:00"`, true},
		{DateTime, `"2026-11-22T14:38:06Z"`, `"2026-11-22T15:38:06"`, true},
		{DateTime, `"2026-11-22T14:38:06Z"`, `"2026-11-22 14:38:06"`, true},
		{DateTime, `"2026-11-22T14:38:06Z"`, `"2026-11-22T14:38:16Z"`, false},
		{JSON, `{"a":1,"b":[2]}`, `{ "b":[2], "a":1 }`, true},
		{JSON, `[]`, `[1]`, false},
	} {
		p := propertyValue{Property: Property{Key: "k", Type: test.kind}, want: []byte(test.want)}
		assert.Equal(t, test.same, p.matches([]byte(test.have)), "%s %s %s", test.kind, test.want, test.have)
	}
	short := propertyValue{Property: Property{Key: "k", Type: Text}, want: encode(long), shortened: true}
	assert.True(t, short.matches(encode(long[:255])))
	assert.True(t, short.matches(encode(long[:250]+"...")))
	assert.False(t, short.matches(encode("")))
	assert.False(t, short.matches(encode("other")))
}
