package ksefsim

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"teamogy-ksef/internal/simulator/samples"
)

// xmllint skips the test where the tool is missing, unless this is CI.
func xmllint(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("xmllint"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("xmllint is not installed (Debian package libxml2-utils)")
		}
		t.Skip("xmllint is not installed (Debian package libxml2-utils): skipped")
	}
}

func TestSchema_rejectsWhatOnlyTheOfficialSchemaForbids(t *testing.T) {
	xmllint(t)
	schema := reference(t, "xsd", "fa", "schemat_FA3_v1-0E.xsd")
	good := samples.GenerateIssued(samples.Options{OurNIP: testNIP, Today: newClock().Now()}, 1)[0].XML
	bad := bytes.Replace(good, []byte("<P_16>2</P_16>"), nil, 1)
	bad = bytes.Replace(bad, []byte("<P_2>"), []byte("<P_2>X"), 1)
	require.NotEqual(t, good, bad)
	for _, strict := range []bool{true, false} {
		w := newWorld(t, func(c *Config) {
			if strict {
				c.FA3Schema = schema
			}
		})
		s := w.open(w.login(testNIP))
		accepted, rejected := s.send(good), s.send(bad)
		w.clock.Advance(minute)
		assert.Equal(t, 200, statusCode(s.invoice(accepted)), "%v", s.invoice(accepted))
		doc := s.invoice(rejected)
		if !strict {
			assert.Equal(t, 200, statusCode(doc), "structural rules do not know P_16")
			continue
		}
		assert.Equal(t, 450, statusCode(doc))
		details := doc["status"].(map[string]any)["details"].([]any)
		assert.Regexp(t, `^Linia \d+: .*P_1[67]`, details[0])
		assert.NotContains(t, details[0], "http://", "names without their namespace")
	}
}

func TestSchema_saysAtOnceWhatIsMissing(t *testing.T) {
	xmllint(t)
	folder := t.TempDir()
	path := filepath.Join(folder, "fa3.xsd")
	_, err := New(Config{FA3Schema: path})
	require.ErrorContains(t, err, "fa3.xsd")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	write(`<xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema"><xsd:import namespace="x" schemaLocation="http://example.com/a/b.xsd"/></xsd:schema>`)
	_, err = New(Config{FA3Schema: path})
	require.ErrorContains(t, err, "http://example.com/a/b.xsd")
	write("no schema")
	_, err = New(Config{FA3Schema: path})
	require.ErrorContains(t, err, "xmllint")
}
