package teamogy

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"sort"
	"strings"
)

const (
	maxErrorBody = 2 << 10
	hiddenKey    = "[API key hidden]"
	hiddenXML    = "[invoice left out]"
	minSecret    = 8
)

// redactor takes the API key out of whatever a server says. A Teamogy key is a JWT, so its segments count as secrets
// too, and so do the encodings in which a server may echo it.
type redactor struct{ forms []string }

func newRedactor(key string) redactor {
	parts := append([]string{key}, strings.Split(key, ".")...)
	seen := map[string]bool{}
	var forms []string
	add := func(s string) {
		if len(s) >= minSecret && !seen[s] {
			seen[s] = true
			forms = append(forms, s)
		}
	}
	for i, p := range parts {
		if i > 0 && len(p) < 2*minSecret {
			continue // a short segment would hide ordinary words
		}
		add(p)
		add(url.QueryEscape(p))
		add(url.PathEscape(p))
		add(strings.ReplaceAll(p, "/", `\/`)) // as some write it in JSON
		add(base64.RawStdEncoding.EncodeToString([]byte(p)))
		add(base64.RawURLEncoding.EncodeToString([]byte(p)))
		add(hex.EncodeToString([]byte(p)))
		add(strings.ToUpper(hex.EncodeToString([]byte(p))))
		if claims, err := base64.RawURLEncoding.DecodeString(p); err == nil && i > 0 {
			add(string(claims))
		}
	}
	if len(key) > 0 && len(key) < minSecret { // a key of a test; hide it as it is
		forms = append(forms, key)
	}
	sort.Slice(forms, func(i, j int) bool { return len(forms[i]) > len(forms[j]) })
	return redactor{forms: forms}
}

func (r redactor) text(s string) string {
	for _, f := range r.forms {
		s = strings.ReplaceAll(s, f, hiddenKey)
	}
	return s
}

// body makes of an answer what may stand in an error: without the key, without an invoice, at most 2 KiB. When the
// answer was cut by us, a half key may stand at its end, so that much is dropped.
func (r redactor) body(data []byte, wasCut bool) string {
	s := strings.ToValidUTF8(string(data), "")
	if wasCut && len(r.forms) > 0 {
		s = s[:max(0, len(s)-len(r.forms[0]))]
	}
	s = r.text(s)
	for _, mark := range []string{"<Faktura", "<tns:Faktura", `\u003cFaktura`} {
		if i := strings.Index(s, mark); i >= 0 {
			s = s[:i] + hiddenXML
		}
	}
	if len(s) > maxErrorBody {
		s = strings.ToValidUTF8(s[:maxErrorBody], "")
	}
	return s
}

// cause keeps err as it is unless its text holds the key, as that of a malformed answer may.
func (r redactor) cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // the URL says nothing that Operation does not
	}
	if clean := r.text(err.Error()); clean != err.Error() {
		return errors.New(clean)
	}
	return err
}
