package ksefsim

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOfficialInvoices_areHeldByteForByteAndAccepted(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(reference(t, "invoices", "official"), "*.xml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	w := newWorld(t, nil)
	seeds := []any{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		seeds = append(seeds, map[string]any{"xml": data})
	}
	held := w.control("seed", map[string]any{"buyerNip": testNIP, "invoices": seeds}).json(t)["invoices"].([]any)
	require.Len(t, held, len(files))
	w.clock.Advance(time.Minute)
	access := w.login(testNIP)
	c := newContract(t, w)
	found := w.query(access, "Subject2", "2026-11-01T00:00:00Z", nil, "?pageSize=100").json(t)["invoices"].([]any)
	assert.Len(t, found, len(files))
	assert.Empty(t, c.violations, "metadata of real invoices fit the contract")
	for i, h := range held {
		data := seeds[i].(map[string]any)["xml"].([]byte)
		number := h.(map[string]any)["ksefNumber"].(string)
		assert.Equal(t, data, w.do(http.MethodGet, "/invoices/ksef/"+number, access, nil).body)
	}

	s := w.open(access)
	refs := map[string]string{}
	seller := regexp.MustCompile(`(<Podmiot1>(?s:.*?)<NIP>)\d{10}`)
	numberElement := regexp.MustCompile(`<P_2>[^<]*`)
	attachments := []string{}
	for i, file := range files {
		data := seeds[i].(map[string]any)["xml"].([]byte)
		data = seller.ReplaceAll(data, []byte("${1}"+testNIP))
		data = numberElement.ReplaceAll(data, []byte("<P_2>official/"+itoa(i)))
		refs[file] = s.send(data)
		if bytes.Contains(data, []byte("<Zalacznik>")) {
			attachments = append(attachments, file)
		}
	}
	w.clock.Advance(time.Second)
	assert.Len(t, attachments, 2)
	for file, ref := range refs {
		want := 200
		if slices.Contains(attachments, file) {
			want = 415
		}
		assert.Equal(t, want, statusCode(s.invoice(ref)), "%s: %v", filepath.Base(file), s.invoice(ref))
	}
}
