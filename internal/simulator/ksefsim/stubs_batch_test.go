package ksefsim

// allowAttachments notifies that a taxpayer issues invoices with attachments.
func (w *world) allowAttachments(nip string) { stubAttachments[nip] = true }
