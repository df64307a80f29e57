package ksefsim

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseTime_withoutOffsetIsPolishTimeAlsoInTheNightsOfTheClockChange(t *testing.T) {
	w := newWorld(t, nil)
	for text, want := range map[string]string{
		"2026-07-01T12:00:00":          "2026-07-01T10:00:00Z",
		"2026-12-01T12:00:00":          "2026-12-01T11:00:00Z",
		"2026-12-01T12:00:00.1234567":  "2026-12-01T11:00:00.1234567Z",
		"2026-12-01T12:00":             "2026-12-01T11:00:00Z",
		"2026-07-01":                   "2026-06-30T22:00:00Z",
		"2026-07-01T12:00:00Z":         "2026-07-01T12:00:00Z",
		"2026-07-01T12:00:00.5+05:30":  "2026-07-01T06:30:00.5Z",
		"2026-03-29T01:59:59":          "2026-03-29T00:59:59Z", // the last second of winter
		"2026-03-29T02:30:00":          "2026-03-29T01:30:00Z", // does not exist
		"2026-03-29T03:00:00":          "2026-03-29T01:00:00Z", // the first of summer
		"2026-10-25T01:59:59":          "2026-10-24T23:59:59Z",
		"2026-10-25T02:30:00":          "2026-10-25T01:30:00Z", // the second of two
		"2026-10-25T02:30:00+02:00":    "2026-10-25T00:30:00Z", // the first of two
		"2026-10-25T03:00:00":          "2026-10-25T02:00:00Z",
		"2026-10-25T02:59:59.9999999Z": "2026-10-25T02:59:59.9999999Z",
	} {
		got, err := w.sim.parseTime(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got.Format(time.RFC3339Nano), text)
	}
	for _, text := range []string{"", "yesterday", "2026-13-01T00:00:00Z", "01.12.2026", "1764547200"} {
		_, err := w.sim.parseTime(text)
		assert.Error(t, err, text)
	}
}

func TestRange_isAtMostAHundredDaysOfUTCForEveryTypeOfDate(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	for _, dateType := range dateTypes {
		for _, tc := range []struct {
			from, to string
			good     bool
		}{
			{"2025-01-01T00:00:00Z", "2025-04-11T00:00:00Z", true}, // 100 days
			{"2025-01-01T00:00:00Z", "2025-04-11T00:00:00.0000001Z", false},
			{"2025-03-01T00:00:00", "2025-06-09T00:00:00", true}, // 100 Polish days, an hour less
			{"2025-03-01T00:00:00", "2025-06-09T01:00:00", true},
			{"2025-08-01T00:00:00", "2025-11-09T00:00:00", false}, // 100 Polish days, an hour more
			{"2025-08-01T01:00:00", "2025-11-09T00:00:00", true},
		} {
			a := w.query(access, "Subject2", tc.from, map[string]any{"to": tc.to, "dateType": dateType}, "")
			if tc.good {
				assert.Equal(t, 200, a.status, "%s %+v: %s", dateType, tc, a.body)
			} else {
				assert.Equal(t, 21405, a.code(), "%s %+v", dateType, tc)
			}
		}
		long := w.query(access, "Subject2", "2025-01-01T00:00:00Z", map[string]any{"dateType": dateType, restrict: true}, "")
		assert.Equal(t, 21405, long.code(), "to is now, and that is longer ago")
	}
}

func TestRange_takesInBothEndsOfEveryTypeOfDate(t *testing.T) {
	w := newWorld(t, nil)
	w.generate(5, map[string]any{"spread": "100h"})
	access := w.login(testNIP)
	all := w.query(access, "Subject2", "2026-11-01T00:00:00Z", nil, "").json(t)["invoices"].([]any)
	require.Len(t, all, 5)
	field := func(i int, name string) string { return all[i].(map[string]any)[name].(string) }
	for dateType, name := range map[string]string{"PermanentStorage": "permanentStorageDate", "Invoicing": "invoicingDate"} {
		got := w.query(access, "Subject2", field(1, name), map[string]any{"dateType": dateType, "to": field(3, name)}, "").json(t)
		assert.Len(t, got["invoices"], 3, dateType)
	}
	day := field(2, "issueDate")
	inDay := 0
	for i := range all {
		if field(i, "issueDate") == day {
			inDay++
		}
	}
	evening := map[string]any{"dateType": "Issue", "to": day + "T23:59:59"}
	got := w.query(access, "Subject2", day+"T23:00:00", evening, "").json(t)
	assert.Len(t, got["invoices"], inDay, "Issue compares Polish days, not times")
	before := w.query(access, "Subject2", day+"T23:30:00Z", map[string]any{"dateType": "Issue", "to": day + "T23:40:00Z"}, "").json(t)
	for _, i := range before["invoices"].([]any) {
		assert.Greater(t, i.(map[string]any)["issueDate"], day, "23:30 UTC is the next day in Poland")
	}
}

func TestRange_thatBeginsInTheFuture(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	future := stamp(w.clock.Now().Add(time.Hour))
	assert.Equal(t, 21183, w.query(access, "Subject2", future, map[string]any{restrict: true}, "").code())
	assert.Equal(t, 21405, w.query(access, "Subject2", future, nil, "").code(), "after now, which is the end")
	later := stamp(w.clock.Now().Add(2 * time.Hour))
	assert.Equal(t, 200, w.query(access, "Subject2", future, map[string]any{"to": later}, "").status)
	ignored := w.query(access, "Subject2", future, map[string]any{restrict: true, "to": later, "dateType": "Invoicing"}, "")
	assert.Equal(t, 200, ignored.status, "the restriction is for PermanentStorage only")
}

func TestFilters_refuseValuesThatTheContractDoesNotKnow(t *testing.T) {
	w := newWorld(t, nil)
	access := w.login(testNIP)
	for name, filter := range map[string]map[string]any{
		"invoice type":     {"invoiceTypes": []string{"Vat", "VAT"}},
		"currency":         {"currencyCodes": []string{"PLN", "EURO"}},
		"mode":             {"invoicingMode": "Later"},
		"form":             {"formType": "FA3"},
		"amount type":      {"amount": map[string]any{"type": "Gross", "from": 1}},
		"amount":           {"amount": map[string]any{"type": "Brutto", "from": "many"}},
		"buyer type":       {"buyerIdentifier": map[string]any{"type": "PESEL"}},
		"buyer value":      {"buyerIdentifier": map[string]any{"type": "Other", "value": strings.Repeat("x", 51)}},
		"KSeF number":      {"ksefNumber": "5265877635"},
		"invoice number":   {"invoiceNumber": strings.Repeat("x", 257)},
		"NIP":              {"sellerNip": "123"},
		"no text":          {"subjectType": 1},
		"no boolean":       {"hasAttachment": "yes"},
		"type of the date": {"dateType": "permanentstorage"},
	} {
		assert.Equal(t, 21405, w.query(access, "Subject2", "2026-11-01T00:00:00Z", filter, "").code(), name)
	}
	missing := w.do(http.MethodPost, "/invoices/query/metadata", access, map[string]any{"subjectType": "Subject2", "dateRange": map[string]any{"dateType": "Issue"}})
	assert.Equal(t, 21405, missing.code(), "from is missing")
}

func TestFilters_findWhatTheySay(t *testing.T) {
	w := newWorld(t, nil)
	w.generate(40, map[string]any{"attachments": 3})
	access := w.login(testNIP)
	query := func(filter map[string]any) []any {
		return w.query(access, "Subject2", "2026-11-01T00:00:00Z", filter, "?pageSize=100").json(t)["invoices"].([]any)
	}
	all := query(nil)
	require.Len(t, all, 40)
	count := func(fits func(map[string]any) bool) int {
		n := 0
		for _, i := range all {
			if fits(i.(map[string]any)) {
				n++
			}
		}
		return n
	}
	sample := all[7].(map[string]any)
	seller := sample["seller"].(map[string]any)["nip"]
	gross := sample["grossAmount"]
	for name, tc := range map[string]struct {
		filter map[string]any
		want   int
	}{
		"types":      {map[string]any{"invoiceTypes": []string{"Kor", "Zal"}}, count(func(i map[string]any) bool { return i["invoiceType"] == "Kor" || i["invoiceType"] == "Zal" })},
		"currency":   {map[string]any{"currencyCodes": []string{"EUR"}}, count(func(i map[string]any) bool { return i["currency"] == "EUR" })},
		"attachment": {map[string]any{"hasAttachment": true}, 3},
		"none":       {map[string]any{"hasAttachment": false}, 37},
		"seller":     {map[string]any{"sellerNip": seller}, count(func(i map[string]any) bool { return i["seller"].(map[string]any)["nip"] == seller })},
		"number":     {map[string]any{"invoiceNumber": sample["invoiceNumber"]}, 1},
		"part":       {map[string]any{"invoiceNumber": sample["invoiceNumber"].(string)[:5]}, 0},
		"ksefNumber": {map[string]any{"ksefNumber": sample["ksefNumber"]}, 1},
		"amount":     {map[string]any{"amount": map[string]any{"type": "Brutto", "from": gross, "to": gross}}, count(func(i map[string]any) bool { return i["grossAmount"] == gross })},
		"buyer":      {map[string]any{"buyerIdentifier": map[string]any{"type": "Nip", "value": testNIP}}, 40},
		"no buyer":   {map[string]any{"buyerIdentifier": map[string]any{"type": "None"}}, 0},
		"offline":    {map[string]any{"invoicingMode": "Offline"}, 0},
		"PEF":        {map[string]any{"formType": "PEF"}, 0},
		"empty list": {map[string]any{"invoiceTypes": []string{}}, 40},
	} {
		assert.Len(t, query(tc.filter), tc.want, name)
	}
	assert.NotZero(t, count(func(i map[string]any) bool { return i["currency"] == "EUR" }))
}

func TestOrder_followsTheTypeOfDateInBothDirections(t *testing.T) {
	w := newWorld(t, nil)
	w.generate(30, map[string]any{"spread": "200h"})
	w.seed(testNIP, fa3{seller: otherNIP, number: "OLD", date: "2026-01-02"})
	w.clock.Advance(time.Minute)
	access := w.login(testNIP)
	for dateType, field := range map[string]string{"PermanentStorage": "permanentStorageDate", "Invoicing": "invoicingDate", "Issue": "issueDate"} {
		forward := []string{}
		for _, order := range []string{"Asc", "Desc"} {
			got := []string{}
			last := ""
			for page := range 4 {
				v := w.query(access, "Subject2", "2026-11-10T00:00:00Z", map[string]any{"dateType": dateType}, "?pageSize=10&sortOrder="+order+"&pageOffset="+itoa(page)).json(t)
				for _, i := range v["invoices"].([]any) {
					at := i.(map[string]any)[field].(string)
					if last != "" && order == "Asc" {
						assert.LessOrEqual(t, last, at)
					} else if last != "" {
						assert.GreaterOrEqual(t, last, at)
					}
					last = at
					got = append(got, i.(map[string]any)["ksefNumber"].(string))
				}
			}
			if order == "Asc" {
				forward = got
				continue
			}
			require.Len(t, got, len(forward))
			for i := range got {
				assert.Equal(t, forward[len(got)-1-i], got[i], "exactly the other way round")
			}
		}
		want := 31
		if dateType == "Issue" {
			want = 30
		}
		assert.Len(t, forward, want, dateType)
	}
}
