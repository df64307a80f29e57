package ksef

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// manyEntries are archives of so many empty invoices, by kind.
func manyEntries(t *testing.T, n int) map[string][]byte {
	t.Helper()
	var zipped, tarred bytes.Buffer
	z := zip.NewWriter(&zipped)
	packed := gzip.NewWriter(&tarred)
	tarball := tar.NewWriter(packed)
	for i := range n {
		name := fmt.Sprintf("%d.xml", i)
		_, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		require.NoError(t, err)
		require.NoError(t, tarball.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600}))
	}
	require.NoError(t, z.Close())
	require.NoError(t, tarball.Close())
	require.NoError(t, packed.Close())
	return map[string][]byte{"ZIP": zipped.Bytes(), "tar.gz": tarred.Bytes()}
}

func TestReadPackage_refusesOneEntryMoreThanItsBound(t *testing.T) {
	require.Equal(t, 10_100, maxPackageEntries, "KSeF's 10,000 invoices, their list and a margin")
	for kind, data := range manyEntries(t, maxPackageEntries+1) {
		t.Run(kind, func(t *testing.T) {
			given := 0
			err := ReadPackage(onDisk(t, data), func(string, []byte) error { given++; return nil })
			var refused *PackageError
			require.ErrorAs(t, err, &refused)
			require.ErrorContains(t, err, "it has more than 10100 entries")
			require.LessOrEqual(t, given, maxPackageEntries)
		})
	}
}

func TestReadPackage_takesAsManyEntriesAsItsBound(t *testing.T) {
	for kind, data := range manyEntries(t, maxPackageEntries) {
		t.Run(kind, func(t *testing.T) {
			given := 0
			require.NoError(t, ReadPackage(onDisk(t, data), func(string, []byte) error { given++; return nil }))
			require.Equal(t, maxPackageEntries, given)
		})
	}
}
