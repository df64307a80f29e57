package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// The first parts of the keys that this package makes. PutNamed keeps out of them.
var ownRoots = map[string]bool{
	"documents": true, "lists": true, "records": true, "index": true, "bindings": true, "receivers": true, "gates": true, "quota": true, "check": true,
}

// escape makes any text one part of a key that no other text gives: letters, digits, '-', '_' and '.'
// stand for themselves, every other byte, and a dot at the beginning, is %XX.
func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; isPlain(c) && (c != '.' || i > 0) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// unescape is the inverse of escape; ok is false for what escape cannot have made.
func unescape(part string) (text string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(part); i++ {
		if part[i] != '%' {
			b.WriteByte(part[i])
			continue
		}
		if i+2 >= len(part) {
			return "", false
		}
		value, err := strconv.ParseUint(part[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(value))
		i += 2
	}
	return b.String(), escape(b.String()) == part
}

var (
	connectionName = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
	factKind       = regexp.MustCompile(`^[A-Za-z0-9]+([-_][A-Za-z0-9]+)*$`)
	sha256Hex      = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// hashKey is the key of an object named after its SHA-256: documents/ab/cdef... .
func hashKey(root, sha256 string) (string, error) {
	if !sha256Hex.MatchString(sha256) {
		return "", fmt.Errorf("%q is no SHA-256 in lower-case hexadecimal", sha256)
	}
	return root + "/" + sha256[:2] + "/" + sha256[2:], nil
}

// check says whether the key can be one, and returns the ID as a part of a key.
func (k RecordKey) check() (id string, err error) {
	id = escape(k.ID)
	switch {
	case !connectionName.MatchString(k.Connection):
		return "", fmt.Errorf("%q is no connection's name: 1 to 40 of a-z, 0-9 and -", k.Connection)
	case k.Direction != Received && k.Direction != Sent:
		return "", fmt.Errorf("%q is no direction: %q or %q", k.Direction, Received, Sent)
	case k.ID == "":
		return "", fmt.Errorf("a record of %s/%s has an empty ID", k.Connection, k.Direction)
	case len(id) > maxSegment:
		return "", fmt.Errorf("the ID of a record of %s/%s is too long: %d bytes", k.Connection, k.Direction, len(id))
	}
	return id, nil
}

// maxFactName keeps a fact's file name, with its kind and ".json", below maxSegment.
const (
	maxFactKind = 60
	maxFactName = 120
)

// factFile is a fact's name within its record's folder: <kind>.json, or <kind>--<name>.json. A kind has no
// "--" and does not end with "-", so two facts never share a file. A long name is cut and completed by its
// hash; the fact itself holds the whole name.
func factFile(kind, name string) (string, error) {
	if !factKind.MatchString(kind) || len(kind) > maxFactKind {
		return "", fmt.Errorf("%q is no kind of fact: letters, digits and single - or _ between them, at most %d", kind, maxFactKind)
	}
	if name == "" {
		return kind + ".json", nil
	}
	escaped := escape(name)
	if len(escaped) > maxFactName {
		hash := sha256.Sum256([]byte(name))
		escaped = escaped[:maxFactName-33] + "~" + hex.EncodeToString(hash[:16])
	}
	return kind + "--" + escaped + ".json", nil
}
