package ksefsim

import (
	"cmp"
	"net/http"
	"slices"
	"time"
)

// active says whether a log-in counts as a session: it is neither refused nor
// revoked, and can still give access tokens.
func (a *authentication) active(now time.Time) bool {
	until := a.refreshUntil
	if !a.redeemed {
		until = a.started.Add(authenticationLife)
	}
	code := a.status(now).Code
	return (code == authRunning || code == statusDone) && now.Before(until)
}

// listAuthSessions answers GET /auth/sessions: the sessions of the same subject
// in the same context, newest first.
func (s *Simulator) listAuthSessions(c *call) (*reply, error) {
	size, err := c.queryInt("pageSize", 10, 10, 100)
	if err != nil {
		return nil, err
	}
	before, err := c.continuation()
	if err != nil {
		return nil, err
	}
	s.lock(c.now)
	defer s.mu.Unlock()
	var list []*authentication
	for _, a := range s.auths {
		if a.identity() == c.token.auth.identity() && a.active(c.now) && (before == 0 || a.number < before) {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b *authentication) int { return cmp.Compare(b.number, a.number) })
	doc := map[string]any{}
	if len(list) > size {
		list = list[:size]
		doc["continuationToken"] = continuationToken(list[size-1].number)
	}
	items := make([]map[string]any, 0, len(list))
	for _, a := range list {
		item := a.document(c.now)
		item["referenceNumber"], item["isCurrent"] = a.ref, a == c.token.auth
		items = append(items, item)
	}
	doc["items"] = items
	return jsonReply(http.StatusOK, doc)
}

// revokeCurrent answers DELETE /auth/sessions/current. It ends the refresh
// token only: an access token lives to its end.
func (s *Simulator) revokeCurrent(c *call) (*reply, error) {
	s.lock(c.now)
	defer s.mu.Unlock()
	c.token.auth.revoked = true
	return &reply{status: http.StatusNoContent}, nil
}

// revokeSession answers DELETE /auth/sessions/{ref} for a session of the same
// subject in the same context. As with the current one, only the refresh token
// ends.
func (s *Simulator) revokeSession(c *call) (*reply, error) {
	ref := c.r.PathValue("ref")
	s.lock(c.now)
	defer s.mu.Unlock()
	a := s.auths[ref]
	if a == nil || a.identity() != c.token.auth.identity() || !a.active(c.now) {
		return nil, invalid("Nie ma czynnej sesji " + ref + ".")
	}
	a.revoked = true
	return &reply{status: http.StatusNoContent}, nil
}
