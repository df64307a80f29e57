package demo

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/simulator/samples"
)

var today = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestGenerated_showsARejectionAndAnUnknownSupplier(t *testing.T) {
	in := generated(1, 12, 8, today)
	require.Len(t, in.received, 12)
	require.Len(t, in.issued, 8)
	unknown, rejected := 0, 0
	for _, r := range in.received {
		if !r.supplierKnown {
			unknown++
			assert.False(t, slices.ContainsFunc(in.suppliers, func(c company) bool { return c.nip == r.seller.nip }))
		}
	}
	for _, s := range in.issued {
		if s.rejected != "" {
			rejected++
			assert.NotEmpty(t, s.blocker)
			assert.NotEmpty(t, s.blockerBuyer)
		}
	}
	assert.Equal(t, 1, unknown)
	assert.Equal(t, 1, rejected)
}

func TestFromFolder_keepsReceivedBytesAndAdaptsIssuedOnes(t *testing.T) {
	folder := t.TempDir()
	files := map[string][]byte{}
	for n, r := range samples.GenerateReceived(samples.Options{Today: today}, 3) {
		name := []string{"b_10.xml", "b_2.xml", "a.xml"}[n]
		files[name] = r.XML
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), r.XML, 0o600))
	}
	in, err := fromFolder(folder, 0, today)
	require.NoError(t, err)
	require.Len(t, in.received, 3)
	for n, name := range []string{"a.xml", "b_2.xml", "b_10.xml"} {
		assert.Equal(t, files[name], in.received[n].xml)
		assert.NotEqual(t, files[name], in.issued[n].xml)
		h, err := readHead(in.issued[n].xml)
		require.NoError(t, err)
		assert.Equal(t, in.us.nip, h.Seller.NIP)
		assert.Equal(t, in.issued[n].number, h.Number)
	}
	require.Len(t, in.issued, 4, "a duplicate shows a rejection")
	assert.Equal(t, numberTaken, in.issued[3].rejected)
}

func TestFromFolder_saysWhatIsWrong(t *testing.T) {
	_, err := fromFolder(t.TempDir(), 0, today)
	assert.ErrorContains(t, err, "no *.xml file")
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "x.xml"), []byte("<Faktura>"), 0o600))
	_, err = fromFolder(folder, 0, today)
	assert.ErrorContains(t, err, "x.xml")
}

func TestFromFolder_expectsEachOfTheOfficialSamplesToBeAccepted(t *testing.T) {
	reference := os.Getenv("KSEF_REFERENCE")
	if reference == "" {
		reference = filepath.Join("..", "..", "..", "..", "shared", "ksef")
	}
	folder := filepath.Join(reference, "invoices", "official")
	if _, err := os.Stat(folder); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("the official sample invoices are not at %s (KSEF_REFERENCE)", folder)
		}
		t.Skipf("the official sample invoices are not at %s (KSEF_REFERENCE)", folder)
	}
	in, err := fromFolder(folder, 0, today)
	require.NoError(t, err)
	require.Len(t, in.received, 26)
	require.Len(t, in.issued, 27)
	for n, i := range in.issued[:26] {
		assert.Empty(t, i.rejected, i.label)
		assert.Equal(t, n+1 == 24 || n+1 == 25, i.attachment, i.label)
	}
	assert.Equal(t, numberTaken, in.issued[26].rejected)
}

func TestNaturally_sortsNumbersAsPeopleDo(t *testing.T) {
	names := []string{"p_10.xml", "p_9.xml", "p_1.xml", "p_02.xml", "a"}
	slices.SortFunc(names, naturally)
	assert.Equal(t, []string{"a", "p_1.xml", "p_02.xml", "p_9.xml", "p_10.xml"}, names)
}
