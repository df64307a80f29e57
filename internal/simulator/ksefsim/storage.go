package ksefsim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What a storage link permits.
const (
	linkRead  = "r"
	linkWrite = "w"
)

// link makes an unauthenticated link to a UPO.
func (s *Simulator) link(c *call, sessionRef, kind, name string, until time.Time) string {
	return s.storageLink(c, "/storage/01/"+strings.ToLower(sessionRef)+"/"+kind+"/"+url.PathEscape("upo_"+name+".xml"), linkRead, until)
}

// storageLink makes an unauthenticated link to a path of the storage. Each one
// is new: it carries what it permits, its end, a random part and a code over
// all of them.
func (s *Simulator) storageLink(c *call, path, permission string, until time.Time) string {
	q := url.Values{
		"sv": {"2025-01-05"}, "st": {c.now.UTC().Format(time.RFC3339)}, "se": {until.UTC().Format(time.RFC3339)},
		"sr": {"b"}, "sp": {permission}, "sk": {randomHex(8)},
	}
	q.Set("sig", s.linkCode(path, permission, q.Get("se"), q.Get("sk")))
	return c.baseURL + path + "?" + q.Encode()
}

func (s *Simulator) linkCode(path, permission, until, nonce string) string {
	mac := hmac.New(sha256.New, s.secret[:])
	mac.Write([]byte("link\n" + path + "\n" + permission + "\n" + until + "\n" + nonce))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// linkRefusal is the answer to a link that was not made here, permits
// something else or is past its end; nil for a good one.
func (s *Simulator) linkRefusal(c *call, permission string) *reply {
	q := c.r.URL.Query()
	until, err := time.Parse(time.RFC3339, q.Get("se"))
	code := s.linkCode(c.r.URL.EscapedPath(), q.Get("sp"), q.Get("se"), q.Get("sk"))
	if err != nil || !hmac.Equal([]byte(code), []byte(q.Get("sig"))) || !c.now.Before(until) || c.strike(faultLinkExpired) != nil {
		return storageError(http.StatusForbidden, "AuthenticationFailed", "Server failed to authenticate the request.")
	}
	if q.Get("sp") != permission {
		return storageError(http.StatusForbidden, "AuthorizationPermissionMismatch", "This request is not authorized to perform this operation.")
	}
	return nil
}

// storageOperation serves the links to documents: no log-in, no quota.
func (s *Simulator) storageOperation() *operation {
	return &operation{name: opStorage, open: true, handle: func(c *call) (*reply, error) {
		if refusal := s.linkRefusal(c, linkRead); refusal != nil {
			return refusal, nil
		}
		if c.r.PathValue("kind") == exportPartKind {
			return s.exportPart(c)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(c.r.PathValue("file"), "upo_"), ".xml")
		s.lock(c.now)
		defer s.mu.Unlock()
		n := s.sessions[strings.ToUpper(c.r.PathValue("session"))]
		switch {
		case n == nil:
		case c.r.PathValue("kind") == "upo":
			if page := n.page(name); page != nil {
				return s.sessionUPO(n, page)
			}
		case c.r.PathValue("kind") == "invoice-upo":
			if r := n.byNumber[name]; r != nil {
				return s.recordUPO(r)
			}
		}
		return storageError(http.StatusNotFound, "BlobNotFound", "The specified blob does not exist."), nil
	}}
}

// storageError is an error in the manner of the storage service behind KSeF.
func storageError(status int, code, message string) *reply {
	body, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: code, Message: message})
	if err != nil {
		body = nil
	}
	return &reply{
		status: status, contentType: "application/xml", body: append([]byte(xml.Header), body...),
		header: http.Header{"X-Ms-Error-Code": {code}},
	}
}
