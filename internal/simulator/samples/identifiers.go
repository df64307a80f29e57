package samples

import (
	"fmt"
	"time"
)

// NIP returns an invented Polish tax number with a valid checksum. Different seeds give different numbers (up to 89,100,000 of them); whether somebody
// has that number is not known.
func NIP(seed int) string {
	const count = 891 * 100_000 // prefixes of eight digits as the schema wants them: the first not 0, the next two not both 0
	x := (int64(seed)%count + count) % count
	x = (x*38_196_601 + 52_658_776) % count // the factor shares no divisor with count, so no two seeds meet
	top, rest := x/100_000, x%100_000
	first := 100*(1+top/99) + 1 + top%99
	prefix := first*100_000 + rest
	for last := x % 10; ; last = (last + 1) % 10 { // at most one step: some ninth digits have no check digit
		nip := fmt.Sprintf("%08d%d", prefix, last)
		if check := nipCheckDigit(nip); check < 10 {
			return fmt.Sprintf("%s%d", nip, check)
		}
	}
}

// nipCheckDigit is the weighted sum of the first nine digits modulo 11; 10 is no digit, such numbers are not given out.
func nipCheckDigit(nip string) int {
	sum := 0
	for i, weight := range [9]int{6, 5, 7, 2, 3, 4, 5, 6, 7} {
		sum += weight * int(nip[i]-'0')
	}
	return sum % 11
}

// account returns an invented Polish bank account (NRB, 26 digits) with a valid checksum, for a company's NIP.
func account(nip string) string {
	number := "10901014" + "000000" + nip // a bank's branch and 16 digits
	remainder := 0
	for _, digit := range number + "252100" { // "PL" as digits and an empty checksum, modulo 97 as IBAN wants it
		remainder = (remainder*10 + int(digit-'0')) % 97
	}
	return fmt.Sprintf("%02d%s", 98-remainder, number)
}

// ksefNumber returns the number that KSeF could have given to an earlier invoice of this seller: NIP, date, 12 hex digits, CRC-8.
func ksefNumber(nip string, accepted time.Time, random uint64) string {
	number := fmt.Sprintf("%s-%s-%012X", nip, accepted.Format("20060102"), random&0xffff_ffff_ffff)
	return fmt.Sprintf("%s-%02X", number, crc8([]byte(number)))
}

// crc8 has the polynomial 0x07, initial value 0, no reflection.
func crc8(data []byte) byte {
	var crc byte
	for _, b := range data {
		crc ^= b
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
