package ksef

import (
	"fmt"
	"time"
)

// Number is a KSeF number: the seller's NIP, the day of acceptance, twelve
// hexadecimal digits and a checksum, as in 5265877635-20250826-0100001AF629-AF.
// A value made by [ParseNumber] is well formed.
type Number string

const (
	numberLength  = 35
	numberChecked = 32 // the characters that the checksum covers
)

// ParseNumber checks the form, the date and the CRC-8 checksum of a number of
// KSeF 2.0. Numbers of KSeF 1.0 (36 characters) are not accepted: their
// checksum is another one, and this API knows them only as references.
func ParseNumber(s string) (Number, error) {
	if len(s) != numberLength {
		return "", fmt.Errorf("KSeF number %q has %d characters instead of %d", shorten(s, 50), len(s), numberLength)
	}
	for i := range len(s) {
		c := s[i]
		var ok bool
		switch {
		case i == 10 || i == 19 || i == numberChecked:
			ok = c == '-'
		case i < 19:
			ok = c >= '0' && c <= '9'
		default:
			ok = c >= '0' && c <= '9' || c >= 'A' && c <= 'F'
		}
		if !ok {
			return "", fmt.Errorf("KSeF number %q is malformed at character %d: expected NIP-YYYYMMDD-12 hexadecimal digits-checksum", shorten(s, 50), i+1)
		}
	}
	if _, err := time.Parse("20060102", s[11:19]); err != nil {
		return "", fmt.Errorf("KSeF number %q contains no valid date", s)
	}
	if want := fmt.Sprintf("%02X", crc8(s[:numberChecked])); s[33:] != want {
		return "", fmt.Errorf("KSeF number %q has a wrong checksum (a typing error?): expected %s", s, want)
	}
	return Number(s), nil
}

// SellerNIP returns the NIP of the invoice's seller (Podmiot1), or nothing for
// a number that is too short to be one.
func (n Number) SellerNIP() string {
	if len(n) != numberLength {
		return ""
	}
	return string(n[:10])
}

// AcceptedOn returns the day on which KSeF accepted the invoice (a Polish
// calendar day) as midnight UTC, or the zero time for a malformed number.
func (n Number) AcceptedOn() time.Time {
	if len(n) != numberLength {
		return time.Time{}
	}
	day, err := time.Parse("20060102", string(n[11:19]))
	if err != nil {
		return time.Time{}
	}
	return day
}

// crc8 is the CRC-8 with polynomial 0x07, initial value zero, no reflection and
// no final xor.
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
