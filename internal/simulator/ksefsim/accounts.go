package ksefsim

import "time"

// accounts is what the simulator knows of taxpayers and people beyond their
// log-ins: rights, tokens, test data. A reset forgets it.
type accounts struct {
	logins     int                 // how many there were
	forgotten  map[string]identity // log-ins past their retention, and whose they were
	ksefTokens map[string]*ksefToken

	grants   []*grant
	managed  map[string]bool // NIPs in whose context only what was granted counts
	persons  map[string]testPerson
	subjects map[string]testSubject
	created  map[string]time.Time // by NIP: when the last test subject or person of that NIP began to exist
	blocked  map[string]bool      // by contextKey

	attachments      map[string]time.Time            // by NIP: until when invoices may have attachments; zero means open end
	ownSessionLimits map[string]contextSessionLimits // by context, where changed
	ownSubjectLimits map[string]subjectLimits        // by subject, where changed
}

func newAccounts() accounts {
	return accounts{
		forgotten:        map[string]identity{},
		ksefTokens:       map[string]*ksefToken{},
		managed:          map[string]bool{},
		persons:          map[string]testPerson{},
		subjects:         map[string]testSubject{},
		created:          map[string]time.Time{},
		blocked:          map[string]bool{},
		attachments:      map[string]time.Time{},
		ownSessionLimits: map[string]contextSessionLimits{},
		ownSubjectLimits: map[string]subjectLimits{},
	}
}

// contextKey names a context by kind and value.
func contextKey(kind, value string) string { return kind + " " + value }
