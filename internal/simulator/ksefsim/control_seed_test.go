package ksefsim

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSeed_makesUpInvoicesWithoutListingThem(t *testing.T) {
	w := newWorld(t, nil)
	made := w.generate(300, nil)
	assert.EqualValues(t, 300, made["count"])
	assert.Empty(t, made["invoices"])
	again := w.generate(300, map[string]any{"sellerNip": otherNIP, "invoices": []any{map[string]any{"xml": []byte("own")}}})
	assert.Len(t, again["invoices"], 1, "those that were given are")
	access := w.login(testNIP)
	c := newContract(t, w)
	numbers, sellers := map[string]bool{}, map[string]int{}
	var first, last string
	for page := range 7 {
		v := w.query(access, "Subject2", "2026-11-01T00:00:00Z", nil, "?pageSize=100&pageOffset="+itoa(page)).json(t)
		for _, i := range v["invoices"].([]any) {
			item := i.(map[string]any)
			seller := item["seller"].(map[string]any)["nip"].(string)
			numbers[seller+item["invoiceType"].(string)+item["invoiceNumber"].(string)] = true
			sellers[seller]++
			if last = item["ksefNumber"].(string); first == "" {
				first = last
			}
		}
	}
	assert.Equal(t, made["firstKsefNumber"], first)
	assert.Equal(t, again["lastKsefNumber"], last)
	assert.Len(t, numbers, 601, "each has a number of its own")
	assert.Equal(t, 301, sellers[otherNIP], "the unreadable one is under it too")
	assert.Greater(t, len(sellers), 5)
	assert.Empty(t, c.violations)
}

// The schema is part of the official reference files.
func TestSeed_makesUpValidInvoices(t *testing.T) {
	source, err := os.ReadFile(reference(t, "xsd", "fa", "schemat_FA3_v1-0E.xsd"))
	require.NoError(t, err)
	if _, err := exec.LookPath("xmllint"); err != nil {
		t.Skip("xmllint is not installed: skipped")
	}
	dir := t.TempDir() // with the imports pointing there instead of to the network
	require.NoError(t, os.CopyFS(dir, os.DirFS(reference(t, "xsd", "fa", "bazowe"))))
	schema := filepath.Join(dir, "fa3.xsd")
	source = regexp.MustCompile(`schemaLocation="http://[^"]*/(Struktury[^"/]*)"`).ReplaceAll(source, []byte(`schemaLocation="$1"`))
	require.NoError(t, os.WriteFile(schema, source, 0o600))
	w := newWorld(t, nil)
	w.generate(24, map[string]any{"attachments": 12, "sellerNip": otherNIP, "spread": "2400h"})
	w.generate(2, map[string]any{"size": 20_000, "attachments": 1})
	w.generate(2, map[string]any{"size": 20_000, "attachments": 1, "noise": true})
	args := []string{"--nonet", "--noout", "--schema", schema}
	w.sim.mu.Lock()
	defer w.sim.mu.Unlock()
	for i, r := range w.sim.store.order {
		xml := r.document.bytes()
		assert.Equal(t, r.hash, hexSHA256(xml))
		assert.Len(t, xml, r.document.size)
		v, err := readInvoice(xml)
		require.NoError(t, err)
		assert.Equal(t, []any{v.number, v.issueDate, v.sellerNIP, v.attachment, v.gross, v.kind},
			[]any{r.invoice.number, r.invoice.issueDate, r.invoice.sellerNIP, r.invoice.attachment, r.invoice.gross, r.invoice.kind})
		assert.Equal(t, w.sim.warsawDay(r.acquired), v.issueDate)
		file := filepath.Join(dir, itoa(i)+".xml")
		require.NoError(t, os.WriteFile(file, xml, 0o600))
		args = append(args, file)
	}
	assert.Len(t, w.sim.store.order[25].document.bytes(), 20_000)
	assert.Len(t, w.sim.store.order[27].document.bytes(), 20_000)
	assert.Greater(t, len(w.sim.store.order[27].document.deflated), 12_000, "noise compresses by a quarter")
	output, err := exec.CommandContext(t.Context(), "xmllint", args...).CombinedOutput()
	assert.NoError(t, err, "%s", output)
}

func TestSeed_spreadsOverThePastOrPutsEverythingIntoOneInstant(t *testing.T) {
	w := newWorld(t, nil)
	now := w.clock.Now()
	w.generate(100, map[string]any{"spread": "100h"})
	times := map[time.Time]bool{}
	last := time.Time{}
	for _, r := range w.sim.store.order {
		assert.True(t, r.acquired.After(last))
		last = r.acquired
		times[r.stored] = true
		assert.False(t, r.acquired.After(now))
	}
	assert.Equal(t, now.Add(-99*time.Hour), w.sim.store.order[0].acquired)
	assert.Equal(t, now, last)
	assert.Len(t, times, 100)

	w.control("reset", nil)
	w.generate(50, map[string]any{"sameInstant": true})
	w.generate(1, nil)
	instant := w.sim.store.order[0].stored
	for _, r := range w.sim.store.order[:50] {
		assert.Equal(t, instant, r.stored)
	}
	assert.True(t, w.sim.store.order[50].stored.After(instant))
}

func TestSeed_refusesWhatMakesNoSense(t *testing.T) {
	w := newWorld(t, nil)
	for name, body := range map[string]map[string]any{
		"buyer":                  {"buyerNip": "1"},
		"seller":                 {"generate": 1, "sellerNip": "1"},
		"negative":               {"generate": -1},
		"too many":               {"generate": 1_000_001},
		"size without generate":  {"size": 10},
		"size":                   {"generate": 1, "size": 4_000_000},
		"noise without size":     {"generate": 1, "noise": true},
		"attachments":            {"generate": 1, "attachments": 2},
		"spread":                 {"generate": 1, "spread": "3 days"},
		"spread forward":         {"generate": 1, "spread": "-1h"},
		"spread and sameInstant": {"generate": 1, "spread": "1h", "sameInstant": true},
		"a typing error":         {"generated": 1},
		"no XML":                 {"invoices": []any{map[string]any{"sellerNip": otherNIP}}},
	} {
		assert.Equal(t, 400, w.do(http.MethodPost, "/_sim/seed", "", body).status, name)
	}
	assert.Empty(t, w.sim.store.order)
}

func TestInvoices_areListedInPagesAndByContext(t *testing.T) {
	w := newWorld(t, nil)
	w.seed(testNIP, fa3{seller: otherNIP, number: "1"}, fa3{seller: otherNIP, number: "2"}, fa3{seller: otherNIP, number: "3"})
	w.seed("3333333333", fa3{seller: "4444444444", buyer: "3333333333", number: "4"})
	list := func(query string) ([]string, any) {
		v := w.do(http.MethodGet, "/_sim/invoices"+query, "", nil).json(t)
		numbers := []string{}
		for _, i := range v["invoices"].([]any) {
			numbers = append(numbers, i.(map[string]any)["invoiceNumber"].(string))
		}
		return numbers, v["total"]
	}
	numbers, total := list("")
	assert.Equal(t, []string{"1", "2", "3", "4"}, numbers)
	assert.Nil(t, total)
	numbers, total = list("?limit=2&offset=1")
	assert.Equal(t, []string{"2", "3"}, numbers)
	assert.EqualValues(t, 4, total)
	numbers, total = list("?context=3333333333")
	assert.Equal(t, []string{"4"}, numbers)
	assert.EqualValues(t, 1, total)
	numbers, _ = list("?context=" + testNIP + "&limit=0")
	assert.Empty(t, numbers)
	for _, query := range []string{"?limit=-1", "?offset=x", "?context=1", "?page=1"} {
		assert.Equal(t, 400, w.do(http.MethodGet, "/_sim/invoices"+query, "", nil).status, query)
	}
}

func TestSeed_isAcceptedWhenItIsReadyAndNotBehindTheHighWaterMark(t *testing.T) {
	c := newClock()
	w := newWorld(t, func(cfg *Config) {
		cfg.Clock = func() time.Time { c.Advance(time.Minute); return c.Now() } // making invoices up takes long
	})
	began := c.Now().Add(time.Minute)
	w.generate(2, nil)
	assert.True(t, w.sim.store.order[0].acquired.After(began), "not when the request came, but when they are there")
}
