package invoice_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"teamogy-ksef/internal/invoice"
)

func TestSameApartFromRenderingTime(t *testing.T) {
	const rendered = "2026-11-22T08:00:00Z"
	at := func(time string) string { return strings.Replace(sample, rendered, time, 1) }
	prefixed := func(time string) string {
		return `<tns:Faktura xmlns:tns="x"><tns:Naglowek><tns:DataWytworzeniaFa>` + time + `</tns:DataWytworzeniaFa></tns:Naglowek><!-- ` + `--></tns:Faktura>`
	}
	for name, c := range map[string]struct {
		a, b string
		same bool
	}{
		"equal":                             {sample, sample, true},
		"rendered an hour later":            {sample, at("2026-11-22T09:00:00Z"), true},
		"another offset and fraction":       {sample, at("2026-11-22T10:00:00.1234567+01:00"), true},
		"with prefixes":                     {prefixed("2026-11-22T09:00:00Z"), prefixed("2026-11-22T09:00:01Z"), true},
		"another amount":                    {sample, strings.Replace(sample, "1388.50", "1388.51", 1), false},
		"another amount and time":           {sample, strings.Replace(at("2026-11-22T09:00:00Z"), "1388.50", "1388.51", 1), false},
		"another date of issue":             {sample, strings.Replace(at("2026-11-22T09:00:00Z"), "<P_1>2026-11-22", "<P_1>2026-11-21", 1), false},
		"a blank more":                      {sample, at("2026-11-22T09:00:00Z") + "\n", false},
		"a comment more":                    {sample, strings.Replace(at("2026-11-22T09:00:00Z"), "</Faktura>", "<!-- x --></Faktura>", 1), false},
		"a seller more before it":           {sample, strings.Replace(at("2026-11-22T09:00:00Z"), "<Naglowek>", "<Naglowek><SystemInfo>x</SystemInfo>", 1), false},
		"another attribute quote":           {sample, strings.Replace(at("2026-11-22T09:00:00Z"), `wersjaSchemy="1-0E"`, `wersjaSchemy='1-0E'`, 1), false},
		"an attribute on it":                {sample, strings.Replace(at("2026-11-22T09:00:00Z"), "<DataWytworzeniaFa>", `<DataWytworzeniaFa x="1">`, 1), false},
		"no time":                           {sample, at("tomorrow"), false},
		"empty":                             {sample, at(""), false},
		"an element inside":                 {sample, at("2026-11-22T09:00:00Z<x/>"), false},
		"an entity inside":                  {sample, at("2026-11-22T09:00:00&#90;"), false},
		"the time stands elsewhere, too":    {sample + "<!--" + rendered + "-->", at("2026-11-22T09:00:00Z") + "<!--2026-11-22T09:00:00Z-->", false},
		"not in the header":                 {strings.ReplaceAll(prefixed("2026-11-22T09:00:00Z"), "Naglowek", "Stopka"), strings.ReplaceAll(prefixed("2026-11-22T09:00:01Z"), "Naglowek", "Stopka"), false},
		"in a comment":                      {strings.Replace(sample, "<DataWytworzeniaFa>", "<!--<DataWytworzeniaFa>", 1), strings.Replace(at("2026-11-22T09:00:00Z"), "<DataWytworzeniaFa>", "<!--<DataWytworzeniaFa>", 1), false},
		"with a DOCTYPE":                    {"<!DOCTYPE Faktura>" + sample, "<!DOCTYPE Faktura>" + at("2026-11-22T09:00:00Z"), false},
		"no XML":                            {"one", "two", false},
		"an end tag too many":               {"</x>" + sample, "</x>" + at("2026-11-22T09:00:00Z"), false},
		"nothing":                           {"", sample, false},
		"cut off right behind the time":     {sample[:strings.Index(sample, rendered)+len(rendered)], sample, false},
		"a second one that differs as well": {strings.Replace(sample, "</Naglowek>", "<DataWytworzeniaFa>2026-11-22T08:00:00Z</DataWytworzeniaFa></Naglowek>", 1), strings.Replace(at("2026-11-22T09:00:00Z"), "</Naglowek>", "<DataWytworzeniaFa>2026-11-22T09:00:00Z</DataWytworzeniaFa></Naglowek>", 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.same, invoice.SameApartFromRenderingTime([]byte(c.a), []byte(c.b)))
			require.Equal(t, c.same, invoice.SameApartFromRenderingTime([]byte(c.b), []byte(c.a)), "the other way round")
		})
	}
}

// Whatever is changed outside the rendering time is a difference, whatever the times are.
func TestSameApartFromRenderingTime_forgivesNoOtherByte(t *testing.T) {
	from := strings.Index(sample, "2026-11-22T08:00:00Z")
	to := from + len("2026-11-22T08:00:00Z")
	rapid.Check(t, func(t *rapid.T) {
		changed := []byte(strings.Replace(sample, "2026-11-22T08:00:00Z", "2027-01-01T00:00:00Z", 1))
		at := rapid.IntRange(0, len(changed)-1).Draw(t, "at")
		if at >= from && at < to {
			return
		}
		switch rapid.SampledFrom([]string{"changed", "dropped", "doubled"}).Draw(t, "how") {
		case "changed":
			changed[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "xor"))
		case "dropped":
			changed = append(bytes.Clone(changed[:at]), changed[at+1:]...)
		default:
			changed = append(bytes.Clone(changed[:at+1]), changed[at:]...)
		}
		require.False(t, invoice.SameApartFromRenderingTime([]byte(sample), changed))
	})
}
