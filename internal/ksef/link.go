package ksef

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// VerificationLink returns the address behind an invoice's QR code KOD I, where
// anybody can check the invoice against KSeF. QrBase is an environment's
// QRBaseURL, issueDate is the date P_1 of the invoice (only its day counts, in
// its own location), sha256 is the digest of the exact bytes of the XML.
func VerificationLink(qrBase, sellerNIP string, issueDate time.Time, sha256 []byte) string {
	return fmt.Sprintf("%s/invoice/%s/%s/%s",
		strings.TrimRight(qrBase, "/"), sellerNIP, issueDate.Format("02-01-2006"),
		base64.RawURLEncoding.EncodeToString(sha256))
}
