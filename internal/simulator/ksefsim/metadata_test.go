package ksefsim

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// queryBody asks for what a subject type stored from a time on.
func queryBody(subject, from string, more map[string]any) map[string]any {
	dates := map[string]any{"dateType": "PermanentStorage", "from": from}
	body := map[string]any{"subjectType": subject, "dateRange": dates}
	for k, v := range more {
		switch k {
		case "to", "dateType", "restrictToPermanentStorageHwmDate":
			dates[k] = v
		default:
			body[k] = v
		}
	}
	return body
}

func (w *world) query(access, subject, from string, more map[string]any, params string) answer {
	w.t.Helper()
	return w.do(http.MethodPost, "/invoices/query/metadata"+params, access, queryBody(subject, from, more))
}

func (w *world) seed(buyer string, invoices ...fa3) []any {
	w.t.Helper()
	list := []any{}
	for _, f := range invoices {
		list = append(list, map[string]any{"xml": f.xml()})
	}
	return w.control("seed", map[string]any{"buyerNip": buyer, "invoices": list}).json(w.t)["invoices"].([]any)
}

const restrict = "restrictToPermanentStorageHwmDate"

func TestQueryMetadata_showsSeedsAfterTheirDelays(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	seeded := w.seed(testNIP, fa3{seller: otherNIP, number: "S/1"})
	number := seeded[0].(map[string]any)["ksefNumber"].(string)
	const from = "2026-11-23T00:00:00Z"
	assert.Empty(t, w.query(access, "Subject2", from, nil, "").json(t)["invoices"], "not yet stored")
	assert.Equal(t, 21165, w.do(http.MethodGet, "/invoices/ksef/"+number, access, nil).code())

	w.clock.Advance(600 * time.Millisecond)
	open := w.query(access, "Subject2", from, nil, "").json(t)
	assert.Len(t, open["invoices"], 1)
	held := w.query(access, "Subject2", from, map[string]any{restrict: true}, "").json(t)
	assert.Empty(t, held["invoices"], "behind the HWM")

	w.clock.Advance(time.Second)
	held = w.query(access, "Subject2", from, map[string]any{restrict: true}, "").json(t)
	require.Len(t, held["invoices"], 1)
	item := held["invoices"].([]any)[0].(map[string]any)
	assert.Equal(t, number, item["ksefNumber"])
	assert.Equal(t, "S/1", item["invoiceNumber"])
	assert.Equal(t, otherNIP, item["seller"].(map[string]any)["nip"])
	assert.EqualValues(t, 1230, item["grossAmount"])
	assert.EqualValues(t, 1000, item["netAmount"])
	assert.EqualValues(t, 230, item["vatAmount"])
	assert.Equal(t, "Vat", item["invoiceType"])
	hwm := held["permanentStorageHwmDate"].(string)
	assert.Equal(t, stamp(w.clock.Now().Add(-time.Second)), hwm)

	w.clock.Advance(time.Minute)
	later := w.query(access, "Subject2", hwm, map[string]any{restrict: true}, "").json(t)
	assert.Empty(t, later["invoices"])
	assert.Greater(t, later["permanentStorageHwmDate"].(string), hwm, "the HWM moves by itself")
	stored := item["permanentStorageDate"].(string)
	both := w.query(access, "Subject2", stored, map[string]any{"to": stored}, "").json(t)
	assert.Len(t, both["invoices"], 1, "both ends are inclusive")
	assert.Equal(t, stored, both["permanentStorageHwmDate"], "the HWM of a past window is its end")
	future := stamp(w.clock.Now())
	assert.Equal(t, 21183, w.query(access, "Subject2", future, map[string]any{restrict: true}, "").code())
}

func TestQueryMetadata_showsEachSubjectItsOwn(t *testing.T) {
	w := newWorld(t, nil)
	w.seed("", fa3{seller: testNIP, buyer: otherNIP, number: "V/1"})
	w.control("seed", map[string]any{"buyerNip": testNIP, "invoices": []any{map[string]any{
		"xml": []byte("unreadable"), "invoiceNumber": "U/1", "sellerNip": otherNIP, "gross": "12.30", "currency": "EUR",
	}}})
	w.clock.Advance(time.Minute)
	const from = "2026-11-01T00:00:00Z"
	count := func(nip, subject string) int {
		return len(w.query(w.login(nip), subject, from, nil, "").json(t)["invoices"].([]any))
	}
	assert.Equal(t, 1, count(testNIP, "Subject1"))
	assert.Equal(t, 1, count(testNIP, "Subject2"), "the unreadable one")
	assert.Equal(t, 1, count(otherNIP, "Subject1"), "its seller by the seed's word")
	assert.Equal(t, 1, count(otherNIP, "Subject2"))
	assert.Equal(t, 1, count(thirdNIP, "Subject3"))
	assert.Equal(t, 0, count(thirdNIP, "SubjectAuthorized"))
	item := w.query(w.login(testNIP), "Subject2", from, nil, "").json(t)["invoices"].([]any)[0].(map[string]any)
	assert.Equal(t, "U/1", item["invoiceNumber"])
	assert.EqualValues(t, 12.3, item["grossAmount"])
	got := w.do(http.MethodGet, "/invoices/ksef/"+item["ksefNumber"].(string), w.login(testNIP), nil)
	assert.Equal(t, "unreadable", string(got.body))
	stranger := w.do(http.MethodGet, "/invoices/ksef/"+item["ksefNumber"].(string), w.login("3333333333"), nil)
	assert.Equal(t, 21164, stranger.code())
}

func TestQueryMetadata_pagesFiltersAndSorts(t *testing.T) {
	w := newWorld(t, nil)
	list := []fa3{}
	for i := range 25 {
		kind := "VAT"
		if i%5 == 0 {
			kind = "KOR"
		}
		list = append(list, fa3{seller: otherNIP, number: "N/" + itoa(i), kind: kind, date: "2026-11-" + itoa(10+i%10)})
	}
	w.seed(testNIP, list...)
	w.clock.Advance(time.Minute)
	access := w.login(testNIP)
	const from = "2026-11-01T00:00:00Z"
	seen := map[string]bool{}
	last := ""
	for page, want := range []int{10, 10, 5} {
		v := w.query(access, "Subject2", from, nil, "?pageSize=10&sortOrder=Asc&pageOffset="+itoa(page)).json(t)
		require.Len(t, v["invoices"], want)
		assert.Equal(t, page < 2, v["hasMore"])
		for _, i := range v["invoices"].([]any) {
			stored := i.(map[string]any)["permanentStorageDate"].(string)
			assert.Greater(t, stored, last, "each time of storage is another one")
			last = stored
			seen[i.(map[string]any)["ksefNumber"].(string)] = true
		}
	}
	assert.Len(t, seen, 25)
	corrections := w.query(access, "Subject2", from, map[string]any{"invoiceTypes": []string{"Kor"}}, "").json(t)
	assert.Len(t, corrections["invoices"], 5)
	one := w.query(access, "Subject2", from, map[string]any{"invoiceNumber": "N/7"}, "").json(t)
	assert.Len(t, one["invoices"], 1)
	issued := w.query(access, "Subject2", "2026-11-12T12:00:00", map[string]any{"dateType": "Issue", "to": "2026-11-12T13:00:00"}, "").json(t)
	assert.Len(t, issued["invoices"], 3, "Issue compares Polish days")
	newest := w.query(access, "Subject2", from, map[string]any{"dateType": "Issue"}, "?sortOrder=Desc").json(t)
	assert.Equal(t, "2026-11-19", newest["invoices"].([]any)[0].(map[string]any)["issueDate"])
	assert.NotContains(t, newest, "permanentStorageHwmDate", "only of permanent storage")
}

func TestQueryMetadata_refusesWhatTheContractForbids(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	const from = "2026-11-01T00:00:00Z"
	for name, a := range map[string]answer{
		"page size 9":       w.query(access, "Subject2", from, nil, "?pageSize=9"),
		"page size 251":     w.query(access, "Subject2", from, nil, "?pageSize=251"),
		"page past 10,000":  w.query(access, "Subject2", from, nil, "?pageSize=250&pageOffset=40"),
		"unknown subject":   w.query(access, "Subject9", from, nil, ""),
		"unknown date type": w.query(access, "Subject2", from, map[string]any{"dateType": "Payment"}, ""),
		"101 days":          w.query(access, "Subject2", "2026-08-01T00:00:00Z", map[string]any{"to": "2026-11-10T00:00:00Z"}, ""),
		"from after to":     w.query(access, "Subject2", from, map[string]any{"to": "2026-10-01T00:00:00Z"}, ""),
		"no time":           w.query(access, "Subject2", "yesterday", nil, ""),
		"sort order":        w.query(access, "Subject2", from, nil, "?sortOrder=Up"),
		"no body":           w.do(http.MethodPost, "/invoices/query/metadata", access, nil),
	} {
		assert.Equal(t, 21405, a.code(), "%s: %s", name, a.body)
	}
	exactly := w.query(access, "Subject2", "2026-08-02T00:00:00Z", map[string]any{"to": "2026-11-10T00:00:00Z"}, "")
	assert.Equal(t, 200, exactly.status, "100 days are allowed")
}

func TestQueryMetadata_truncatesAtTenThousand(t *testing.T) {
	w := newWorld(t, nil)
	list := make([]any, 0, 10_005)
	for i := range 10_005 {
		list = append(list, map[string]any{"xml": []byte("x" + itoa(i)), "sellerNip": otherNIP, "invoiceNumber": itoa(i)})
	}
	w.control("seed", map[string]any{"buyerNip": testNIP, "invoices": list})
	w.clock.Advance(time.Minute)
	access := w.login(testNIP)
	const from = "2026-11-01T00:00:00Z"
	v := w.query(access, "Subject2", from, nil, "?pageSize=250&pageOffset=38").json(t)
	assert.Equal(t, false, v["isTruncated"])
	v = w.query(access, "Subject2", from, nil, "?pageSize=250&pageOffset=39").json(t)
	assert.Equal(t, true, v["isTruncated"])
	assert.Equal(t, true, v["hasMore"])
	items := v["invoices"].([]any)
	last := items[len(items)-1].(map[string]any)["permanentStorageDate"].(string)
	rest := w.query(access, "Subject2", last, nil, "?pageSize=250").json(t)
	assert.Len(t, rest["invoices"], 6, "the last one again and the five that were cut off")
	assert.Equal(t, false, rest["isTruncated"])
}
