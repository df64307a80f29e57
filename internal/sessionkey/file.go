package sessionkey

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// LoadOrCreateSecret reads the secret from its file (64 hexadecimal digits), or makes one (mode 0600) if
// there is no such file. Several workers that start at once on one file end up with the same secret. A file
// that others than its owner may read is refused.
func LoadOrCreateSecret(path string) (Secret, error) {
	if path == "" {
		return Secret{}, errors.New("no file for the session secret: set SESSION_SECRET_FILE to a file that is the same for all workers; it is made at first start")
	}
	secret, err := load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	if err := create(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return Secret{}, fmt.Errorf("make the session secret %s: %w", path, err)
	}
	return load(path) // also when another worker was faster: its secret is the one
}

func load(path string) (Secret, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Secret{}, fmt.Errorf("read the session secret: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Secret{}, fmt.Errorf("the session secret %s is not a file", path)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return Secret{}, fmt.Errorf("the session secret %s can be read or changed by others (mode %04o): type chmod 600 %s",
			path, info.Mode().Perm(), path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Secret{}, fmt.Errorf("read the session secret: %w", err)
	}
	decoded := make([]byte, hex.DecodedLen(len(data)))
	n, err := hex.Decode(decoded, bytes.TrimSpace(data))
	if err != nil || n != secretSize {
		// Not the decoder's own message: it would quote a digit.
		return Secret{}, fmt.Errorf("the session secret %s does not hold %d hexadecimal digits: restore it from the other workers or a backup; "+
			"only if no KSeF session is open, remove it and start again", path, 2*secretSize)
	}
	secret := Secret{set: true}
	copy(secret.bytes[:], decoded)
	return secret, nil
}

// create writes a new secret to a temporary file and gives it its name by link(2), which fails with
// fs.ErrExist when the name is taken: nobody ever reads half a secret, and nobody's is overwritten.
func create(path string) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	var secret [secretSize]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return err
	}
	file, err := os.CreateTemp(folder, ".tmp-secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) //nolint:errcheck // it has its other name by now, or is of no use
	_, err = file.WriteString(hex.EncodeToString(secret[:]) + "\n")
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil {
		return err
	}
	if runtime.GOOS == "windows" {
		return nil // Windows cannot flush a folder
	}
	opened, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer opened.Close() //nolint:errcheck // only read
	return opened.Sync()
}
