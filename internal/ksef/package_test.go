package ksef

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var errFull = errors.New("no space left")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

// joined decrypts a package's parts and puts them together, as KSeF does.
func joined(t *testing.T, k SymmetricKey, p Package) []byte {
	t.Helper()
	var whole []byte
	for n, name := range p.Parts {
		encrypted, err := os.ReadFile(name)
		require.NoError(t, err)
		require.EqualValues(t, p.File.Parts[n].Size, len(encrypted))
		require.Equal(t, p.File.Parts[n].SHA256, hashOf(encrypted))
		plain, err := Decrypt(k, encrypted)
		require.NoError(t, err)
		whole = append(whole, plain...)
	}
	return whole
}

// Whatever the size of the parts, their sum is one and the same archive.
func TestWritePackage_cutsAndEncryptsOneArchive(t *testing.T) {
	k := sampleKey(t)
	var invoices [][]byte
	for n := range 20 {
		invoices = append(invoices, fmt.Appendf(nil, "<Faktura>%d</Faktura>", n))
	}
	for _, partSize := range []int64{64, 100, 1000, 1 << 20} {
		p, err := WritePackage(k, t.TempDir(), each(invoices), partSize)
		if partSize == 64 {
			require.ErrorContains(t, err, "more than 50 parts")
			continue
		}
		require.NoError(t, err)
		whole := joined(t, k, p)
		require.Equal(t, p.File.SHA256, hashOf(whole))
		require.EqualValues(t, p.File.Size, len(whole))
		archive, err := zip.NewReader(bytes.NewReader(whole), int64(len(whole)))
		require.NoError(t, err)
		require.Len(t, archive.File, 20)
		for n, f := range archive.File {
			r, err := f.Open()
			require.NoError(t, err)
			content, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, invoices[n], content)
		}
	}
}

func TestWritePackage_leavesNothingBehindWhenItFails(t *testing.T) {
	folder := t.TempDir()
	broken := errors.New("the archive cannot be read")
	_, err := WritePackage(sampleKey(t), folder, func(yield func([]byte, error) bool) {
		if yield(bytes.Repeat([]byte("<Faktura/>"), 100), nil) {
			yield(nil, broken)
		}
	}, 50)
	require.ErrorIs(t, err, broken)
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = WritePackage(sampleKey(t), folder, each(nil), MaxBatchPart)
	require.ErrorContains(t, err, "no invoice")
}

// Whatever a package holds that KSeF does not promise is an error that says
// what; nothing of it is believed.
func TestReadPackage_refusesBombsAndTricks(t *testing.T) {
	type entry struct {
		name    string
		content []byte
	}
	zipOf := func(entries ...entry) []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for _, e := range entries {
			f, err := w.Create(e.name)
			require.NoError(t, err)
			_, err = f.Write(e.content)
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		return b.Bytes()
	}
	tarOf := func(header tar.Header, content []byte) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		w := tar.NewWriter(z)
		header.Size = int64(len(content))
		require.NoError(t, w.WriteHeader(&header))
		_, err := w.Write(content)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.NoError(t, z.Close())
		return b.Bytes()
	}
	good := zipOf(entry{"1.xml", []byte("<x/>")})
	tarGz := tarOf(tar.Header{Name: "1.xml", Typeflag: tar.TypeReg}, []byte("<x/>"))
	damaged := bytes.Clone(good)
	damaged[30+len("1.xml")+1] ^= 0xff
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":              {nil, "neither a ZIP nor a tar.gz"},
		"an HTML page":         {[]byte("<html></html>"), "neither a ZIP nor a tar.gz"},
		"a cut ZIP":            {good[:len(good)-10], "ZIP directory"},
		"a damaged ZIP":        {damaged, "cannot be"},
		"a cut tar.gz":         {tarGz[:len(tarGz)-12], "cut off"},
		"a tar.gz's checksum":  {append(bytes.Clone(tarGz[:len(tarGz)-8]), make([]byte, 8)...), "cut off or its checksum is wrong"},
		"a path upwards":       {zipOf(entry{"../1.xml", nil}), "name that is not allowed"},
		"an absolute path":     {zipOf(entry{"/etc/passwd", nil}), "name that is not allowed"},
		"a path of Windows":    {zipOf(entry{`..\1.xml`, nil}), "name that is not allowed"},
		"a name twice":         {zipOf(entry{"1.xml", []byte("a")}, entry{"1.xml", []byte("b")}), "two entries"},
		"a bomb in a ZIP":      {zipOf(entry{"1.xml", make([]byte, maxPackageInvoice+1)}), "unpacks to more"},
		"a bomb of many files": {zipOf(entry{"1.xml", make([]byte, 1<<20)}, entry{"2.xml", make([]byte, 1<<20)}), "unpacks to more"},
		"a link in a tar":      {tarOf(tar.Header{Name: "1.xml", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, nil), "is no file"},
		"a path in a tar":      {tarOf(tar.Header{Name: "../1.xml", Typeflag: tar.TypeReg}, nil), "name that is not allowed"},
		"a bomb in a tar":      {tarOf(tar.Header{Name: "1.xml", Typeflag: tar.TypeReg}, make([]byte, 3<<20)), "cannot be unpacked"},
	} {
		t.Run(name, func(t *testing.T) {
			most := int64(maxPackageTotal)
			if name == "a bomb of many files" || name == "a bomb in a tar" {
				most = 3 << 19
			}
			err := readPackage(onDisk(t, c.data), most, func(string, []byte) error { return nil })
			var refused *PackageError
			require.ErrorAs(t, err, &refused)
			require.ErrorContains(t, err, c.want)
		})
	}
	own := errors.New("the archive is full")
	require.ErrorIs(t, ReadPackage(onDisk(t, good), func(string, []byte) error { return own }), own)
	require.NoError(t, ReadPackage(onDisk(t, tarGz), func(name string, content []byte) error {
		require.Equal(t, "1.xml", name)
		require.Equal(t, "<x/>", string(content))
		return nil
	}))
}

func onDisk(t testing.TB, data []byte) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "package"))
	require.NoError(t, err)
	_, err = file.Write(data)
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func FuzzReadPackage(f *testing.F) {
	var zipped, tarred bytes.Buffer
	w := zip.NewWriter(&zipped)
	e, _ := w.Create("1.xml")
	_, _ = e.Write([]byte("<x/>"))
	_ = w.Close()
	z := gzip.NewWriter(&tarred)
	tw := tar.NewWriter(z)
	_ = tw.WriteHeader(&tar.Header{Name: MetadataEntry, Typeflag: tar.TypeReg, Size: 2})
	_, _ = tw.Write([]byte("{}"))
	_ = tw.Close()
	_ = z.Close()
	f.Add(zipped.Bytes())
	f.Add(tarred.Bytes())
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(t *testing.T, data []byte) {
		total := 0
		_ = readPackage(onDisk(t, data), 1<<20, func(name string, content []byte) error {
			if name == "" || filepath.Base(name) != name {
				t.Errorf("the name %q was let through", name)
			}
			total += len(content)
			return nil
		})
		if total > 1<<20 {
			t.Errorf("%d bytes were unpacked", total)
		}
	})
}
