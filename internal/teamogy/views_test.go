package teamogy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func idsOf(t *testing.T, c *Client, q viewQuery) ([]int64, error) {
	t.Helper()
	var ids []int64
	for row, err := range c.rows(background(), "read", q) {
		if err != nil {
			return ids, err
		}
		id, _ := row.id("id")
		ids = append(ids, id)
	}
	return ids, nil
}

func TestRows_readsEveryPageOnceWhateverItsSize(t *testing.T) {
	for _, pageLimit := range []int{1, 2, 3, 7, 40, 100, 1000} {
		t.Run(strconv.Itoa(pageLimit), func(t *testing.T) {
			f := newTenant(t)
			f.pageLimit = pageLimit
			var want []int64
			for range 100 {
				want = append(want, f.add(nil))
			}
			got, err := idsOf(t, f.client(), viewQuery{view: "invoices.purchase", columns: []string{"id"}})
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
}

func TestRows_asksForFewerWherePagesOfThatSizeAreRefused(t *testing.T) {
	for _, pageLimit := range []int{1, 2, 3, 100, 499} {
		t.Run(strconv.Itoa(pageLimit), func(t *testing.T) {
			f := newTenant(t)
			f.pageLimit, f.pageRefused = pageLimit, true
			var want []int64
			for range 10 {
				want = append(want, f.add(nil))
			}
			c := f.client()
			q := viewQuery{view: "invoices.purchase", columns: []string{"id"}}
			got, err := idsOf(t, c, q)
			require.NoError(t, err)
			assert.Equal(t, want, got)
			assert.LessOrEqual(t, c.pageSize(), pageLimit)
			assert.Greater(t, 2*c.pageSize()+1, min(pageLimit, 250))
			before := f.seen("")
			_, err = c.readPage(background(), "read", q)
			require.NoError(t, err)
			assert.Equal(t, 1, f.seen("")-before, "the size is remembered")
		})
	}
	c := fixed(t, 400, nil, "no such column")
	_, err := idsOf(t, c, viewQuery{view: "v", columns: []string{"x"}})
	require.ErrorContains(t, err, "no such column")
	assert.Equal(t, c.fields.PageSize, c.pageSize(), "another refusal says nothing of the size")
}

func TestRows_missesNothingWhenRowsLeaveTheListMeanwhile(t *testing.T) {
	rows := make([]int, 100)
	for i := range rows {
		rows[i] = i + 1
	}
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
		end := min(offset+40, len(rows))
		var data []map[string]int
		for _, id := range rows[offset:end] {
			data = append(data, map[string]int{"id": id})
		}
		var next any
		if end < len(rows) {
			next = end
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"metadata": map[string]any{"nextOffset": next}, "data": data})
		if offset == 0 {
			rows = rows[5:] // five were sent meanwhile
		}
	})
	got, err := idsOf(t, c, viewQuery{view: "invoices.sales", columns: []string{"id"}})
	require.NoError(t, err)
	assert.Len(t, got, 100)
}

func TestRows_neverReadsOnForEver(t *testing.T) {
	for name, next := range map[string]func(offset int) any{
		"same offset":      func(offset int) any { return offset },
		"back to the head": func(int) any { return 0 },
		"always one more":  func(offset int) any { return offset + 1 },
		"far ahead":        func(offset int) any { return offset + 100_000 },
		"as text":          func(offset int) any { return strconv.Itoa(offset + 1000) },
		"no number":        func(int) any { return "next" },
	} {
		t.Run(name, func(t *testing.T) {
			c := served(t, func(w http.ResponseWriter, r *http.Request) {
				offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
				_ = json.NewEncoder(w).Encode(map[string]any{
					"metadata": map[string]any{"nextOffset": next(offset)}, "data": []map[string]int{{"id": 1}, {"id": 2}},
				})
			}, func(o *Options) {
				o.Fields = DefaultFieldMap()
				o.Fields.ScanLimit = 300
			})
			_, err := idsOf(t, c, viewQuery{view: "invoices.sales", columns: []string{"id"}})
			assert.Contains(t, []Kind{BadAnswer, NotSearchable}, kindOfError(t, err))
		})
	}
}

func TestPage_readsTheShapesOfAnEnvelope(t *testing.T) {
	c := fixed(t, 200, nil, "")
	for _, test := range []struct {
		answer string
		rows   int
		next   int
		bad    bool
	}{
		{`{"metadata":{"count":1,"limit":1,"nextOffset":1},"data":[{"id":1}]}`, 1, 1, false},
		{`{"metadata":{"nextOffset":null},"data":[]}`, 0, -1, false},
		{`{"metadata":{},"data":[{"id":1}]}`, 1, -1, false},
		{`{"data":[{"id":1}]}`, 1, -1, false},
		{`{"data":null}`, 0, -1, false},
		{`[{"id":1},{"id":2}]`, 2, -1, false},
		{`{}`, 0, 0, true},
		{``, 0, 0, true},
		{`{"data":{"id":1}}`, 0, 0, true},
		{`{"data":[1,2]}`, 0, 0, true},
		{`<html>`, 0, 0, true},
	} {
		page, err := c.page("read", []byte(test.answer))
		if test.bad {
			assert.Equal(t, BadAnswer, kindOfError(t, err), test.answer)
			continue
		}
		require.NoError(t, err, test.answer)
		assert.Len(t, page.rows, test.rows, test.answer)
		assert.Equal(t, test.next, page.next, test.answer)
	}
}

func TestObjects_readsTheShapesOfAnEntity(t *testing.T) {
	for _, test := range []struct {
		answer string
		ids    []int64
		bad    bool
	}{
		{`{"id":123,"number":"N"}`, []int64{123}, false},
		{`{"id":"123"}`, []int64{123}, false},
		{`{"id":123.0}`, []int64{123}, false},
		{`{"data":{"id":123}}`, []int64{123}, false},
		{`{"data":[{"id":1},{"id":2}]}`, []int64{1, 2}, false},
		{`{"data":123}`, []int64{123}, false},
		{`{"result":{"id":5}}`, []int64{5}, false},
		{`[{"id":1}]`, []int64{1}, false},
		{`[123]`, []int64{123}, false},
		{`123`, []int64{123}, false},
		{` "123" `, []int64{123}, false},
		{`[]`, []int64{}, false},
		{`null`, []int64{}, false},
		{`{"data":null}`, []int64{}, false},
		{`true`, nil, true},
		{`"abc"`, nil, true},
		{``, nil, true},
		{`{"id":`, nil, true},
		{strings.Repeat(`[`, 19) + `7` + strings.Repeat(`]`, 19), []int64{7}, false},
		{strings.Repeat(`{"data":`, 20) + `7` + strings.Repeat(`}`, 20), nil, true}, // every level is read anew
	} {
		found, ok := objects([]byte(test.answer), "id")
		assert.Equal(t, !test.bad, ok, test.answer)
		if test.bad {
			continue
		}
		ids := []int64{}
		for _, o := range found {
			id, ok := o.id("id")
			assert.True(t, ok, test.answer)
			ids = append(ids, id)
		}
		assert.Equal(t, test.ids, ids, test.answer)
	}
}

func TestObjects_neverPanicsOnAnyAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.String(),
			rapid.StringMatching(`[\[\]{}",:0-9a-z.\-]{0,40}`),
		).Draw(t, "answer")
		found, _ := objects([]byte(text), "id")
		for _, o := range found {
			o.id("id")
			o.texts("a.b")
			o.property("a")
			o.flag("a")
		}
	})
}

func TestLiteral_refusesWhatWouldBreakTheExpression(t *testing.T) {
	for _, bad := range []string{"O'Hara", `a\`, "a\nb", "' OR id>0 OR type='"} {
		_, err := literal("find", bad)
		assert.Equal(t, Invalid, kindOfError(t, err), bad)
	}
	got, err := literal("find", "READY.FOR KSEF")
	require.NoError(t, err)
	assert.Equal(t, "'READY.FOR KSEF'", got)
	assert.Equal(t, "a%20b%27%3D", escape("a b'="))
}

func ExampleClient_endpoint() {
	c, err := New(Options{BaseURL: "https://acme.teamogy.com", Unit: 1, APIKey: "example"})
	if err != nil {
		panic(err)
	}
	fmt.Println(c.endpoint("views/invoices.sales", []parameter{{"externalFilter", "(type='INVOICE.SALES' AND status='READY')"}}))
	// Output: https://acme.teamogy.com/rest/v1/1/views/invoices.sales?externalFilter=%28type%3D%27INVOICE.SALES%27%20AND%20status%3D%27READY%27%29
}
