package teamogy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
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
			patches := map[string]int{
				"false " + PatchReadModifyWrite: 2, // one to find out that it merges
				"true " + PatchReadModifyWrite:  3, // one to find out that it replaces, one to put ours back
				"false " + PatchMerge:           1,
				"true " + PatchMerge:            2, // it put back what was wiped
			}[fmt.Sprint(replaces, " ", mode)]
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

// between runs something right after the client has read a document.
func (f *tenant) between(reads int, do func(d map[string]any)) *Client {
	left := reads
	return served(f.t, func(w http.ResponseWriter, r *http.Request) {
		f.ServeHTTP(w, r)
		if r.Method != http.MethodGet || r.URL.Path != "/rest/v1/7/documents" {
			return
		}
		if left--; left == 0 {
			f.mu.Lock()
			defer f.mu.Unlock()
			id, _ := strconv.ParseInt(r.URL.Query().Get("id"), 10, 64)
			do(f.documents[id])
		}
	})
}

// With the tenant's PATCH known to merge, only our keys are sent, and what a person changes meanwhile stays.
func TestPatch_leavesAPersonsChangeBetweenReadingAndWriting(t *testing.T) {
	f := newTenant(t)
	first, second := issued(f), issued(f)
	c := f.between(4, func(d map[string]any) { // the fourth read is the second document's first
		d["properties"].(map[string]any)["poNumber"] = "changed by a person"
		delete(d["properties"].(map[string]any), "amount")
	})
	require.NoError(t, c.PatchSalesInvoice(background(), first, accepted))
	require.NoError(t, c.PatchSalesInvoice(background(), second, accepted))
	properties := f.document(second)["properties"].(map[string]any)
	assert.Equal(t, "changed by a person", properties["poNumber"])
	assert.NotContains(t, properties, "amount", "a person has removed it")
	assert.Equal(t, wantedNumber, properties["ksefNumber"])
	assert.Equal(t, 3, f.seen("PATCH"), "two for the first, one for the second")
}

// The probe leaves out nothing but a property of ours.
func TestPatch_learnsOnNothingButAPropertyOfItsOwn(t *testing.T) {
	for _, replaces := range []bool{false, true} {
		f := newTenant(t)
		f.replaces = replaces
		id := issued(f)
		require.NoError(t, f.client().PatchSalesInvoice(background(), id, accepted))
		var first, probe patchBody
		require.NoError(t, json.Unmarshal(f.bodies[http.MethodPatch][0], &first))
		require.NoError(t, json.Unmarshal(f.bodies[http.MethodPatch][1], &probe))
		for key := range first.Properties {
			if _, sent := probe.Properties[key]; !sent {
				assert.Equal(t, "ksefReferenceNumber", key)
			}
		}
		assert.Empty(t, probe.Status)
		assert.Equal(t, "20261122-SO-1", f.document(id)["properties"].(map[string]any)["ksefReferenceNumber"])
	}
}

// Killed in the middle of learning, the retry puts ours back.
func TestPatch_putsItsOwnBackAfterTheProbesAnswerWasLost(t *testing.T) {
	f := newTenant(t)
	f.replaces = true
	id := issued(f)
	patches := 0
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		f.ServeHTTP(w, r)
		if r.Method == http.MethodPatch {
			if patches++; patches == 2 {
				panic(http.ErrAbortHandler)
			}
		}
	})
	require.Equal(t, Network, kindOfError(t, c.PatchSalesInvoice(background(), id, accepted)))
	require.NotContains(t, f.document(id)["properties"], "ksefReferenceNumber")
	f.document(id)["status"] = "PAID" // by a person
	again := accepted
	again.From = "READY.FOR.KSEF"
	require.NoError(t, f.client().PatchSalesInvoice(background(), id, again))
	properties := f.document(id)["properties"].(map[string]any)
	assert.Equal(t, "20261122-SO-1", properties["ksefReferenceNumber"])
	assert.Equal(t, "PO-1", properties["poNumber"])
	assert.Equal(t, "PAID", f.document(id)["status"])
}

// A locked document cannot be used to learn; writing to it has worked all the same.
func TestPatch_staysSafeWhereTheProbeIsRefused(t *testing.T) {
	f := newTenant(t)
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.ParseInt(r.URL.Query().Get("id"), 10, 64)
		if p, _ := f.document(id)["properties"].(map[string]any); r.Method == http.MethodPatch && p["ksefNumber"] != nil {
			w.WriteHeader(http.StatusConflict)
			return
		}
		f.ServeHTTP(w, r)
	})
	for range 2 {
		id := issued(f)
		require.NoError(t, c.PatchSalesInvoice(background(), id, accepted))
		assert.Contains(t, string(f.bodies[http.MethodPatch][f.seen("PATCH")-1]), "poNumber", "all are sent")
		assert.Equal(t, Locked, kindOfError(t, c.PatchSalesInvoice(background(), id, SalesPatch{KSeFNumber: wantedNumber, Message: "changed since"})))
	}
	assert.Equal(t, 2, f.seen("PATCH"))
}

// Our PATCH was carried out, its answer was lost, and a person has gone on with the document since.
func TestPatch_leavesAStatusThatAPersonHasSetAfterOurs(t *testing.T) {
	for name, patch := range map[string]SalesPatch{
		"accepted": accepted,
		"rejected": {Status: "REJECTED.BY.KSEF", KSeFStatus: "REJECTED", Message: "Code 450"},
	} {
		f := newTenant(t)
		id := issued(f)
		patch.From = "READY.FOR.KSEF"
		require.NoError(t, f.client().PatchSalesInvoice(background(), id, patch), name)
		require.Equal(t, patch.Status, f.document(id)["status"])
		f.document(id)["status"] = "OPEN"
		require.NoError(t, f.client().PatchSalesInvoice(background(), id, patch), name)
		assert.Equal(t, "OPEN", f.document(id)["status"], name)
		f.document(id)["status"] = "READY.FOR.KSEF"
		require.NoError(t, f.client().PatchSalesInvoice(background(), id, patch), name)
		assert.Equal(t, patch.Status, f.document(id)["status"], name)
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
	assert.Equal(t, 2, f.seen("PATCH"), "one to write, one to learn")
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

// Only writing in one request needs to know whether it is the first: the safe way reads the document, and is gone again
// after an answer that was lost.
func TestPatch_theSafeWayDoesNotAskWhetherItIsTheFirst(t *testing.T) {
	f := newTenant(t)
	c := f.client()
	patch := accepted
	patch.First = &FirstWrite{
		Due:   func(context.Context) (bool, error) { t.Error("asked"); return true, nil },
		Begin: func(context.Context) error { t.Error("begun"); return nil },
	}
	require.NoError(t, c.PatchSalesInvoice(background(), issued(f), patch))
}
