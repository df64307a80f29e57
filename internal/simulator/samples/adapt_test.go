package samples

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// officialInvoices returns the paths of the 26 samples of the Ministry of Finance, in their order.
func officialInvoices(t testing.TB) []string {
	t.Helper()
	dir := referenceFile(t, "invoices", "official")
	paths := make([]string, 26)
	for i := range paths {
		paths[i] = filepath.Join(dir, fmt.Sprintf("FA_3_Przyklad_%d.xml", i+1))
	}
	return paths
}

func TestAdapt_changesOnlyTwoTextsOfEveryOfficialInvoice(t *testing.T) {
	const nip, number = "5265877635", "FV/2026/11/A&7<"
	for i, path := range officialInvoices(t) {
		original := readFile(t, path)
		adapted, err := Adapt(original, nip, number)
		require.NoError(t, err, "no. %d", i+1)

		was, is := parse(t, original), parse(t, adapted)
		assert.Equal(t, nip, is.Seller)
		assert.Equal(t, number, is.Number)
		is.Seller, is.Number = was.Seller, was.Number
		assert.Equal(t, was, is)

		// Put back by plain text, at the first place where each element occurs: every other byte must be the same.
		restored := replaceFirst(t, adapted, "<P_2>FV/2026/11/A&amp;7&lt;</P_2>", "<P_2>"+was.Number+"</P_2>")
		restored = replaceFirst(t, restored, "<NIP>"+nip+"</NIP>", "<NIP>"+was.Seller+"</NIP>")
		assert.True(t, bytes.Equal(original, restored), "no. %d", i+1)

		same, err := Adapt(original, was.Seller, was.Number)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(original, same), "no. %d", i+1)
	}
}

func replaceFirst(t *testing.T, data []byte, old, replacement string) []byte {
	t.Helper()
	require.Contains(t, string(data), old)
	return bytes.Replace(data, []byte(old), []byte(replacement), 1)
}

func TestAdapt_keepsPrefixesCommentsCDATAAndByteOrderMarks(t *testing.T) {
	const before = "\xef\xbb\xbf<?xml version='1.0'?>\r\n<!-- <P_2>x</P_2> --><f:Faktura xmlns:f=\"urn:f\"><f:Podmiot2><f:DaneIdentyfikacyjne><f:NIP>1</f:NIP></f:DaneIdentyfikacyjne></f:Podmiot2>" +
		"<f:Fa><f:FaWiersz><f:P_2>no</f:P_2></f:FaWiersz><f:P_2 >%s</f:P_2\t></f:Fa><f:Podmiot1>\r\n<f:DaneIdentyfikacyjne><f:NIP a=\"b>\">%s</f:NIP></f:DaneIdentyfikacyjne></f:Podmiot1></f:Faktura>\r\n"
	for _, texts := range [][2]string{{"one", "2"}, {"<![CDATA[<P_2>]]>", " 2 "}, {"a<!-- b -->c", "\r\n2"}} {
		adapted, err := Adapt(fmt.Appendf(nil, before, texts[0], texts[1]), "77", "N/1")
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprintf(before, "N/1", "77"), string(adapted))
	}
}

func TestAdapt_refusesWhatItCannotPlace(t *testing.T) {
	good := string(GenerateReceived(demo, 1)[0].XML)
	for name, invoice := range map[string]string{
		"no number":     strings.Replace(good, "P_2>", "P_X>", 2),
		"empty number":  strings.Replace(good, "<P_2>", "<P_2/><P_X>", 1),
		"no seller":     strings.ReplaceAll(good, "Podmiot1", "Podmiot9"),
		"two numbers":   strings.Replace(good, "</P_2>", "</P_2><P_2>x</P_2>", 1),
		"elements":      strings.Replace(good, "</P_2>", "<x>y</x></P_2>", 1),
		"cut off":       good[:len(good)-20],
		"wrong end tag": strings.Replace(good, "</P_1>", "</P_9>", 1),
		"nothing":       "",
	} {
		_, err := Adapt([]byte(invoice), "5265877635", "1")
		assert.Error(t, err, name)
	}
}
