package ksefsim

import (
	"net/http"
	"unicode/utf8"
)

// testdataOperations are the endpoints that only TEST has. Each answers 200
// without a body.
func (s *Simulator) testdataOperations() []*operation {
	if !s.test() {
		return nil
	}
	post := func(path string, handle func(*call) error) *operation {
		return &operation{name: "POST /testdata/" + path, open: true, group: groupPublic, handle: silent(handle)}
	}
	context := func(path string, handle func(*call) error) *operation {
		return &operation{name: "POST /testdata/" + path, open: true, group: groupOther, handle: silent(handle)}
	}
	own := func(method, path string, handle func(*call) error) *operation {
		return &operation{name: method + " /testdata/" + path, kinds: access, group: groupOther, handle: silent(handle)}
	}
	return []*operation{
		post("subject", s.createSubject),
		post("subject/remove", s.removeSubject),
		post("person", s.createPerson),
		post("person/remove", s.removePerson),
		post("permissions", s.grantPermissions),
		post("permissions/revoke", s.revokePermissions),
		post("attachment", s.grantAttachment),
		post("attachment/revoke", s.revokeAttachment),
		context("context/block", s.blockContext),
		context("context/unblock", s.unblockContext),
		own(http.MethodPut, "certificates/{serial}", s.shortenCertificate),
		own(http.MethodPost, "rate-limits", s.setRateLimits),
		own(http.MethodDelete, "rate-limits", s.restoreRateLimits),
		own(http.MethodPost, "rate-limits/production", s.setProductionRateLimits),
		own(http.MethodPost, "limits/context/session", s.setSessionLimits),
		own(http.MethodDelete, "limits/context/session", s.restoreSessionLimits),
		own(http.MethodPost, "limits/subject/certificate", s.setSubjectLimits),
		own(http.MethodDelete, "limits/subject/certificate", s.restoreSubjectLimits),
	}
}

// silent makes a handler of what answers 200 without a body.
func silent(handle func(*call) error) func(*call) (*reply, error) {
	return func(c *call) (*reply, error) {
		if err := handle(c); err != nil {
			return nil, err
		}
		return &reply{status: http.StatusOK}, nil
	}
}

// checkNIP refuses what is no NIP.
func checkNIP(field, nip string) error {
	if !nipPattern.MatchString(nip) {
		return invalid(field + ": oczekiwano NIP.")
	}
	return nil
}

// checkDescription refuses a text that is not of 5 to 256 characters.
func checkDescription(field, text string) error {
	if n := utf8.RuneCountInString(text); n < 5 || n > 256 {
		return invalid(field + ": oczekiwano od 5 do 256 znaków.")
	}
	return nil
}

func exists(what string) *failure { return refuse(30001, what) }
