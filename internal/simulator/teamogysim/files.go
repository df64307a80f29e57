package teamogysim

import "net/http"

// giveFile gives what a document's attachment link leads to: to holders of the
// API key, or as switched.
func (s *Simulator) giveFile(a *answer, r *http.Request, set *settings) {
	switch set.FileAccess {
	case FileKeyRefused:
		if r.Header.Get("Authorization") != "" {
			a.fail(http.StatusBadRequest, "only one way of authorisation is allowed: the link itself")
			return
		}
	case FileKey:
		if !s.admit(a, r, set) {
			return
		}
	}
	if d := s.named(a, r); d != nil {
		if d.attachment == nil {
			a.fail(http.StatusNotFound, "no such file")
			return
		}
		a.text(http.StatusOK, "application/xml", string(d.attachment))
	}
}
