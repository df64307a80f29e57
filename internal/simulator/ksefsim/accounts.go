package ksefsim

import "time"

// accounts is what the simulator knows of taxpayers and people beyond their
// log-ins: rights, tokens, test data. A reset forgets it.
type accounts struct {
	attachments      map[string]time.Time            // by NIP: until when invoices may have attachments; zero means open end
	ownSessionLimits map[string]contextSessionLimits // by context, where changed
}

func newAccounts() accounts {
	return accounts{
		attachments:      map[string]time.Time{},
		ownSessionLimits: map[string]contextSessionLimits{},
	}
}
