package ksefsim

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// The two-letter kinds of reference numbers.
const (
	kindChallenge = "CR"
	kindAuth      = "AU"
	kindSession   = "SO"
	kindBatch     = "SB"
	kindInvoice   = "EE"
	kindUPO       = "EU"
	kindExport    = "EH"
	kindToken     = "EC" // KSeF tokens
)

var (
	nipPattern        = regexp.MustCompile(`^[1-9]((\d[1-9])|([1-9]\d))\d{7}$`)
	ksefNumberPattern = regexp.MustCompile(`^([1-9](\d[1-9]|[1-9]\d)\d{7})-(20[2-9][0-9]|2[1-9]\d{2}|[3-9]\d{3})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])-([0-9A-F]{6})-?([0-9A-F]{6})-([0-9A-F]{2})$`)
)

// newReference makes a reference number of 36 characters:
// YYYYMMDD-XX-10 hex-10 hex-2 hex.
func newReference(kind string, now time.Time) string {
	h := randomHex(11)
	return now.UTC().Format("20060102") + "-" + kind + "-" + h[:10] + "-" + h[10:20] + "-" + h[20:22]
}

// randomHex is n random bytes in upper-case hexadecimal.
func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return strings.ToUpper(hex.EncodeToString(b))
}

// newKSeFNumber makes the number of an invoice accepted on the given Polish
// calendar day: seller's NIP, day, 12 hex digits, CRC-8.
func newKSeFNumber(sellerNIP string, day time.Time) string {
	head := sellerNIP + "-" + day.Format("20060102") + "-" + randomHex(6)
	return fmt.Sprintf("%s-%02X", head, crc8(head))
}

// crc8 is the checksum of a KSeF number: polynomial 0x07, initial value 0, no
// reflection, no final xor, over the first 32 characters.
func crc8(s string) byte {
	var crc byte
	for i := range len(s) {
		crc ^= s[i]
		for range 8 {
			if crc&0x80 != 0 {
				crc = crc<<1 ^ 0x07
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// validNIPChecksum says whether the last digit of a NIP is the checksum of the
// others: weights 6 5 7 2 3 4 5 6 7, modulo 11; 10 is no checksum.
func validNIPChecksum(nip string) bool {
	if !nipPattern.MatchString(nip) {
		return false
	}
	sum := 0
	for i, weight := range []int{6, 5, 7, 2, 3, 4, 5, 6, 7} {
		sum += weight * int(nip[i]-'0')
	}
	return sum%11 == int(nip[9]-'0')
}

// stamp writes a time as the API does: UTC, offset +00:00, up to 7 fractional
// digits.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.9999999-07:00") }

// stampOrNil is stamp, or nil for the zero time.
func stampOrNil(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	v := stamp(t)
	return &v
}
