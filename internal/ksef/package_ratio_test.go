package ksef

import (
	"archive/zip"
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A small package that unpacks to very much is none of KSeF's, though no entry is
// too large by itself.
func TestReadPackage_refusesWhatUnpacksToHundredsOfTimesItsSize(t *testing.T) {
	for entries, refused := range map[int]bool{3: false, 5: true} {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for i := range entries {
			f, err := w.Create(fmt.Sprintf("%d.xml", i))
			require.NoError(t, err)
			_, err = f.Write(make([]byte, maxPackageInvoice))
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		read := 0
		err := ReadPackage(onDisk(t, b.Bytes()), func(string, []byte) error { read++; return nil })
		if !refused {
			require.NoError(t, err)
			assert.Equal(t, entries, read)
			continue
		}
		var e *PackageError
		require.ErrorAs(t, err, &e)
		assert.Contains(t, e.Reason, "unpacks to more")
	}
	for size, want := range map[int64]int64{0: anyPackageTotal, 1 << 20: 300 << 20, 1 << 30: maxPackageTotal} {
		assert.Equal(t, want, mostUnpacked(size))
	}
}
