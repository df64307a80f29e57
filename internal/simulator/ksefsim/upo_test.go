package ksefsim

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A session's UPO comes in pages, each a signed document of its own that fits
// the schema and says which part of the whole it is.
func TestUPO_comesInPagesThatSayWhatTheyHold(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.UPOPageSize = 2 })
	access := w.login(testNIP)
	c := newContract(t, w)
	b := w.sendBatch(access, fa3{number: "1"}, fa3{number: "2", seller: otherNIP}, fa3{number: "3"}, fa3{number: "4"}, fa3{number: "5"},
		fa3{number: "5"}, fa3{number: "6"})
	w.clock.Advance(2 * stepInTests)
	require.Equal(t, []int{200, 410, 200, 200, 200, 440, 200}, b.codes())
	pages := b.session()["upo"].(map[string]any)["pages"].([]any)
	require.Len(t, pages, 3)
	refs := map[string]bool{}
	for i, held := range [][]string{{"1", "3"}, {"4", "5"}, {"6"}} {
		page := pages[i].(map[string]any)
		ref := page["referenceNumber"].(string)
		refs[ref] = true
		linked := w.do(http.MethodGet, page["downloadUrl"].(string), "", nil)
		require.Equal(t, 200, linked.status)
		assert.Equal(t, hashBase64(linked.body), linked.header.Get("x-ms-meta-hash"))
		asked := w.do(http.MethodGet, "/sessions/"+b.ref+"/upo/"+ref, access, nil)
		assert.Equal(t, string(linked.body), string(asked.body))
		assert.Contains(t, string(linked.body), fmt.Sprintf("<Strona>%d</Strona><LiczbaStron>3</LiczbaStron><ZakresDokumentowOd>%d</ZakresDokumentowOd>"+
			"<ZakresDokumentowDo>%d</ZakresDokumentowDo><CalkowitaLiczbaDokumentow>5</CalkowitaLiczbaDokumentow>", i+1, 2*i+1, 2*i+len(held)))
		numbers := []string{}
		for _, m := range regexp.MustCompile(`<NumerFaktury>(.*?)</NumerFaktury>`).FindAllSubmatch(linked.body, -1) {
			numbers = append(numbers, string(m[1]))
		}
		assert.Equal(t, held, numbers)
		assert.NoError(t, xmlsecVerify(t, xmlsec(t), linked.body))
		fitsUPOSchema(t, linked.body)
	}
	assert.Len(t, refs, 3)
	assert.Equal(t, 21178, w.do(http.MethodGet, "/sessions/"+b.ref+"/upo/"+newReference(kindUPO, w.clock.Now()), access, nil).code())
	assert.Empty(t, c.violations)
}

// fitsUPOSchema checks a UPO against the official schema, which knows neither
// signatures nor what TEST calls itself.
func fitsUPOSchema(t *testing.T, upo []byte) {
	t.Helper()
	tool, err := exec.LookPath("xmllint")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("xmllint is not installed (Debian package libxml2-utils)")
		}
		t.Skip("xmllint is not installed (Debian package libxml2-utils): the UPO is not checked against its schema")
	}
	schema := reference(t, "xsd", "upo", "upo-v4-3.xsd")
	text := regexp.MustCompile(`<Signature.*</Signature>`).ReplaceAllString(string(upo), "")
	file := filepath.Join(t.TempDir(), "upo.xml")
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(text, " - środowisko testowe (TE)", "", 1)), 0o600))
	out, err := exec.CommandContext(t.Context(), tool, "--noout", "--nonet", "--schema", schema, file).CombinedOutput()
	assert.NoError(t, err, "%s", out)
}

func TestUPO_linksLiveAsLongAsTheySay(t *testing.T) {
	w := newWorld(t, nil)
	w.clock.Advance(900 * time.Millisecond)
	s := w.open(w.login(testNIP))
	ref := s.send(fa3{}.xml())
	s.close()
	w.clock.Advance(2 * stepInTests)
	page := s.session()["upo"].(map[string]any)["pages"].([]any)[0].(map[string]any)
	doc := s.invoice(ref)
	for link, until := range map[string]string{
		page["downloadUrl"].(string): page["downloadUrlExpirationDate"].(string), doc["upoDownloadUrl"].(string): doc["upoDownloadUrlExpirationDate"].(string),
	} {
		end, err := time.Parse(time.RFC3339Nano, until)
		require.NoError(t, err)
		address, err := url.Parse(link)
		require.NoError(t, err)
		assert.Equal(t, address.Query().Get("se"), end.UTC().Format(time.RFC3339Nano))
	}
}
