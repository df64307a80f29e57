package ksef

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
)

// streamBuffer is how much of a package is held while it is encrypted or
// decrypted.
const streamBuffer = 64 << 10

// errNotDecrypted is what wrong padding at the end means.
var errNotDecrypted = errors.New("decrypt: wrong key or damaged data")

// encryptingReader encrypts what it reads as [Encrypt] does, in bounded memory.
type encryptingReader struct {
	from  io.Reader
	mode  cipher.BlockMode
	plain []byte // read and not yet encrypted, less than a block between calls
	ready []byte // encrypted and not yet given
	done  bool
}

// EncryptStream gives the ciphertext of what it reads: AES-256-CBC with PKCS#7
// padding, no initialisation vector before it.
func EncryptStream(k SymmetricKey, from io.Reader) (io.Reader, error) {
	block, err := aes.NewCipher(k.Key[:])
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return &encryptingReader{from: from, mode: cipher.NewCBCEncrypter(block, k.IV[:])}, nil
}

// EncryptedSize is the size of the ciphertext of so many bytes: padding always
// adds one to sixteen.
func EncryptedSize(plain int64) int64 { return plain - plain%aes.BlockSize + aes.BlockSize }

func (e *encryptingReader) Read(p []byte) (int, error) {
	for len(e.ready) == 0 {
		if e.done {
			return 0, io.EOF
		}
		if err := e.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, e.ready)
	e.ready = e.ready[n:]
	return n, nil
}

func (e *encryptingReader) fill() error {
	buffer := make([]byte, streamBuffer)
	had := copy(buffer, e.plain)
	n, err := io.ReadFull(e.from, buffer[had:])
	buffer = buffer[:had+n]
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		padding := aes.BlockSize - len(buffer)%aes.BlockSize
		for range padding {
			buffer = append(buffer, byte(padding))
		}
		e.done, e.plain = true, nil
	case err != nil:
		return err
	default:
		whole := len(buffer) - len(buffer)%aes.BlockSize
		e.plain = append([]byte(nil), buffer[whole:]...)
		buffer = buffer[:whole]
	}
	e.mode.CryptBlocks(buffer, buffer)
	e.ready = buffer
	return nil
}

// decryptingReader undoes encryptingReader; it holds the last block back until
// it knows that it is the last.
type decryptingReader struct {
	from   io.Reader
	mode   cipher.BlockMode
	buffer []byte
	held   []byte // the decrypted last block
	ready  []byte
	done   bool
}

// DecryptStream gives the plain bytes of a ciphertext. It fails at the end when
// the padding shows that the key, or the ciphertext, is another one.
func DecryptStream(k SymmetricKey, from io.Reader) (io.Reader, error) {
	block, err := aes.NewCipher(k.Key[:])
	if err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	return &decryptingReader{from: from, mode: cipher.NewCBCDecrypter(block, k.IV[:]), buffer: make([]byte, streamBuffer)}, nil
}

func (d *decryptingReader) Read(p []byte) (int, error) {
	for len(d.ready) == 0 {
		if d.done {
			return 0, io.EOF
		}
		if err := d.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.ready)
	d.ready = d.ready[n:]
	return n, nil
}

func (d *decryptingReader) fill() error {
	n, err := io.ReadFull(d.from, d.buffer)
	last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !last {
		return err
	}
	if n%aes.BlockSize != 0 {
		return errors.New("decrypt: the length is no multiple of the block size: the data is cut off or not encrypted")
	}
	plain := append([]byte(nil), d.held...)
	plain = append(plain, d.buffer[:n]...)
	d.mode.CryptBlocks(plain[len(d.held):], plain[len(d.held):])
	if !last {
		d.held = plain[len(plain)-aes.BlockSize:]
		d.ready = plain[:len(plain)-aes.BlockSize]
		return nil
	}
	d.done = true
	if len(plain) == 0 {
		return errors.New("decrypt: there is nothing to decrypt")
	}
	padding := int(plain[len(plain)-1])
	if padding == 0 || padding > aes.BlockSize {
		return errNotDecrypted
	}
	for _, b := range plain[len(plain)-padding:] {
		if int(b) != padding {
			return errNotDecrypted
		}
	}
	d.ready = plain[:len(plain)-padding]
	return nil
}
