package invoice

import (
	"crypto/sha256"
	"encoding/hex"
)

// SHA256 returns the SHA-256 of the invoice's exact bytes in lower-case hex. KSeF identifies an invoice's content by this hash (in Base64 on the wire).
func SHA256(xml []byte) string {
	sum := sha256.Sum256(xml)
	return hex.EncodeToString(sum[:])
}
