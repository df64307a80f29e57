package ksefsim

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestExportStuck_staysAt100AndKeepsItsSlot(t *testing.T) {
	w := newWorld(t, nil)
	w.generate(1, nil)
	access := w.login(testNIP)
	require.NoError(t, w.sim.Order(Fault{Name: faultExportStuck, Times: 9}))
	var first *orderedExport
	for range 9 {
		first = w.order(access, stored(nil), nil)
	}
	w.clock.Advance(3 * 24 * time.Hour)
	access = w.login(testNIP)
	first.access = access
	assert.Equal(t, 100, statusCode(first.status()))
	w.order(access, stored(nil), nil)
	body, _, _ := w.exportBody(stored(nil), nil)
	assert.Equal(t, 21182, w.do(http.MethodPost, "/invoices/exports", access, body).code(), "nine stuck ones and a running one")
	w.clock.Advance(time.Second)
	o := w.order(access, stored(nil), nil)
	w.clock.Advance(time.Second)
	assert.EqualValues(t, 1, o.ready()["invoiceCount"], "the tenth slot is free again")
	w.clock.Advance(4 * 24 * time.Hour)
	access = w.login(testNIP)
	assert.Equal(t, 410, w.do(http.MethodGet, "/invoices/exports/"+first.ref, access, nil).status)
	for range 10 {
		w.order(access, stored(nil), nil) // their slots are free
	}
}

func TestExportFails_endsWithTheOrderedCode(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	for status, want := range map[int]int{0: 550, 500: 500} {
		require.NoError(t, w.sim.Order(Fault{Name: faultExportFails, Status: status}))
		o := w.order(access, stored(nil), nil)
		assert.Equal(t, 100, statusCode(o.status()))
		w.clock.Advance(time.Second)
		doc := o.status()
		assert.Equal(t, want, statusCode(doc))
		assert.NotContains(t, doc, "package")
	}
	o := w.order(access, stored(nil), nil)
	w.clock.Advance(time.Second)
	assert.Equal(t, 200, statusCode(o.status()), "once only")
}

func TestExportFaults_haveNoOccasionWhereNothingWouldShow(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	require.NoError(t, w.sim.Order(Fault{Name: faultPartHash}))
	w.order(access, stored(nil), nil) // holds nothing, so it has no parts
	assert.Zero(t, w.fired(faultPartHash))
	require.NoError(t, w.sim.Order(Fault{Name: faultHWMBack}))
	w.do(http.MethodPost, "/invoices/query/metadata", access, queryBody("Subject2", "2026-11-01T00:00:00Z", map[string]any{"dateType": "Issue"}))
	assert.Zero(t, w.fired(faultHWMBack), "a query by date of issue shows no mark")
}

func TestPartHashWrong_isAboutOnePartOfOneExport(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ExportPartBytes = 2000 })
	w.generate(5, nil)
	access := w.login(testNIP)
	require.NoError(t, w.sim.Order(Fault{Name: faultPartHash}))
	o := w.order(access, stored(nil), nil)
	w.clock.Advance(time.Second)
	parts := partsOf(o.ready())
	for i, p := range parts {
		a := w.do(http.MethodGet, p["url"].(string), "", nil)
		plain, err := decrypt(o.key, o.iv, bytes.Clone(a.body))
		require.NoError(t, err, "it can be decrypted all the same")
		last := i == len(parts)-1
		assert.Equal(t, last, hashBase64(a.body) != p["encryptedPartHash"])
		assert.Equal(t, last, hashBase64(plain) != p["partHash"])
		assert.EqualValues(t, len(plain), p["partSize"])
		assert.Equal(t, hashBase64(a.body), a.header.Get("x-ms-meta-hash"))
	}
	again := w.order(access, stored(nil), nil)
	w.clock.Advance(time.Second)
	again.contents(again.ready())
}

func TestHWMWentBack_inQueryAndExport(t *testing.T) {
	w := newWorld(t, nil)
	w.generate(1, nil)
	access := w.login(testNIP)
	const from = "2026-11-01T00:00:00Z"
	restricted := map[string]any{restrict: true}
	before := w.query(access, "Subject2", from, restricted, "").json(t)
	require.NoError(t, w.sim.Order(Fault{Name: faultHWMBack, Times: 2}))
	back := w.query(access, "Subject2", from, restricted, "").json(t)
	assert.Equal(t, stamp(w.clock.Now().Add(-time.Second-2*time.Hour)), back["permanentStorageHwmDate"])
	assert.Less(t, back["permanentStorageHwmDate"], before["permanentStorageHwmDate"])
	assert.Len(t, before["invoices"], 1)
	assert.Empty(t, back["invoices"], "what lies behind it is complete, but there is less of it")
	o := w.order(access, stored(restricted), nil)
	w.clock.Advance(time.Second)
	assert.EqualValues(t, 0, o.ready()["invoiceCount"])
	assert.Len(t, w.query(access, "Subject2", from, restricted, "").json(t)["invoices"], 1, "twice only")
}

func TestRecordBehindHWM_appearsWhereEverythingWasSaidToBeComplete(t *testing.T) {
	w := newWorld(t, nil)
	require.NoError(t, w.sim.Order(Fault{Name: faultBehindHWM, Seconds: 3600}))
	late := w.seed(testNIP, fa3{seller: otherNIP, number: "LATE"}, fa3{seller: otherNIP, number: "OTHER"})
	w.clock.Advance(time.Minute)
	access := w.login(testNIP)
	const from = "2026-11-23T00:00:00Z"
	restricted := map[string]any{restrict: true}
	first := w.query(access, "Subject2", from, restricted, "").json(t)
	require.Len(t, first["invoices"], 1)
	path := "/invoices/ksef/" + late[0].(map[string]any)["ksefNumber"].(string)
	assert.Equal(t, 21165, w.do(http.MethodGet, path, access, nil).code())
	w.clock.Advance(time.Hour)
	access = w.login(testNIP)
	second := w.query(access, "Subject2", from, restricted, "").json(t)
	require.Len(t, second["invoices"], 2)
	item := second["invoices"].([]any)[0].(map[string]any)
	assert.Equal(t, "LATE", item["invoiceNumber"])
	assert.Less(t, item["permanentStorageDate"], first["permanentStorageHwmDate"], "behind what had been complete")
	assert.Equal(t, 200, w.do(http.MethodGet, path, access, nil).status)
}
