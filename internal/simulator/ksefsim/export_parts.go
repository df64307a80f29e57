package ksefsim

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"slices"
	"sync"
)

// part describes a part of a package.
type part struct {
	size, encryptedSize int
	hash, encryptedHash string // SHA-256, Base64
}

// partWriter cuts what is written to it into parts and encrypts each by itself,
// with the same key and IV.
type partWriter struct {
	block cipher.Block
	iv    []byte
	size  int
	total int64 // written so far

	open  []byte // the part that is not full yet
	parts []part
	files [][]byte // encrypted
}

func newPartWriter(key, iv []byte, size int) (*partWriter, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &partWriter{block: block, iv: iv, size: size}, nil
}

func (w *partWriter) Write(data []byte) (int, error) {
	for rest := data; len(rest) > 0; {
		n := min(len(rest), w.size-len(w.open))
		w.open = append(w.open, rest[:n]...)
		rest = rest[n:]
		if len(w.open) == w.size {
			w.close()
		}
	}
	w.total += int64(len(data))
	return len(data), nil
}

// close ends a part: AES-256-CBC with PKCS #7 padding, in place.
func (w *partWriter) close() {
	if len(w.open) == 0 {
		return
	}
	p := part{size: len(w.open), hash: hashBase64(w.open)}
	pad := aes.BlockSize - len(w.open)%aes.BlockSize
	file := append(w.open, bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(w.block, w.iv).CryptBlocks(file, file)
	p.encryptedSize, p.encryptedHash = len(file), hashBase64(file)
	if cap(file)-len(file) > len(file)/8 {
		file = bytes.Clone(file) // it is kept for long
	}
	w.parts, w.files, w.open = append(w.parts, p), append(w.files, file), nil
}

// exportPackage is a package that is made when it is first asked for, outside
// the simulator's lock, and again when its parts had to make room for others.
type exportPackage struct {
	kept *keptPackages

	mu     sync.Mutex // held while the package is being made
	order  packageOrder
	result *madePackage
}

// made describes the package.
func (p *exportPackage) made() (madePackage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.result == nil {
		if _, err := p.make(); err != nil {
			return madePackage{}, err
		}
	}
	return *p.result, nil
}

// files gives the encrypted parts.
func (p *exportPackage) files() ([][]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if files := p.kept.of(p); files != nil {
		return files, nil
	}
	return p.make()
}

func (p *exportPackage) make() ([][]byte, error) {
	result, files, err := p.order.build()
	if err != nil {
		return nil, err
	}
	p.result = &result
	p.kept.put(p, files)
	return files, nil
}

// maxKeptBytes bounds the parts that are kept in memory, apart from those of the
// package made last.
const maxKeptBytes = 512 << 20

// keptPackages holds the parts of packages, the one made last at the end.
type keptPackages struct {
	mu    sync.Mutex
	list  []keptPackage
	bytes int
}

type keptPackage struct {
	of    *exportPackage
	files [][]byte
	bytes int
}

func (k *keptPackages) find(p *exportPackage) int {
	return slices.IndexFunc(k.list, func(kept keptPackage) bool { return kept.of == p })
}

func (k *keptPackages) of(p *exportPackage) [][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := k.find(p); i >= 0 {
		return k.list[i].files
	}
	return nil
}

func (k *keptPackages) put(p *exportPackage, files [][]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	size := 0
	for _, file := range files {
		size += len(file)
	}
	for len(k.list) > 0 && k.bytes+size > maxKeptBytes {
		k.remove(0)
	}
	k.list = append(k.list, keptPackage{p, files, size})
	k.bytes += size
}

func (k *keptPackages) drop(p *exportPackage) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := k.find(p); i >= 0 {
		k.remove(i)
	}
}

func (k *keptPackages) remove(i int) {
	k.bytes -= k.list[i].bytes
	k.list = slices.Delete(k.list, i, i+1)
}
