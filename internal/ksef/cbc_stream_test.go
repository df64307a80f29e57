package ksef

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Streams and whole pieces are the same cipher, whatever the sizes of reads.
func TestCBCStream_isEncryptAndDecryptInPieces(t *testing.T) {
	k := sampleKey(t)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{0, 1, 15, 16, 17, streamBuffer - 16, streamBuffer - 1, streamBuffer, streamBuffer + 1, 2 * streamBuffer, 2*streamBuffer + 5}).Draw(t, "size")
		plain := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte"), 7, 3}, size/3+1)[:size]
		slow := rapid.SampledFrom([]func(io.Reader) io.Reader{
			func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader,
		}).Draw(t, "reader")
		want, err := Encrypt(k, plain)
		require.NoError(t, err)
		require.EqualValues(t, len(want), EncryptedSize(int64(size)))

		encrypting, err := EncryptStream(k, slow(bytes.NewReader(plain)))
		require.NoError(t, err)
		got, err := io.ReadAll(slow(encrypting))
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))

		decrypting, err := DecryptStream(k, slow(bytes.NewReader(want)))
		require.NoError(t, err)
		back, err := io.ReadAll(slow(decrypting))
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, back))
	})
}

func TestDecryptStream_failsOnWhatIsCutOffOrAnothersKey(t *testing.T) {
	// Fixed keys: with random ones wrong padding looks right once in 256 times.
	k, other := SymmetricKey{Key: [32]byte{1}}, SymmetricKey{Key: [32]byte{2}}
	encrypted, err := Encrypt(k, bytes.Repeat([]byte("x"), 3*streamBuffer))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		key  SymmetricKey
		data []byte
	}{
		"nothing":              {k, nil},
		"cut inside a block":   {k, encrypted[:len(encrypted)-1]},
		"cut after a block":    {k, encrypted[:len(encrypted)-16]},
		"another key":          {other, encrypted},
		"not encrypted at all": {k, bytes.Repeat([]byte("0"), 64)},
	} {
		r, err := DecryptStream(c.key, bytes.NewReader(c.data))
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, r)
		require.ErrorContains(t, err, "decrypt", name)
	}
	broken := errors.New("the connection broke")
	r, err := DecryptStream(k, io.MultiReader(bytes.NewReader(encrypted[:streamBuffer]), iotest.ErrReader(broken)))
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, r)
	require.ErrorIs(t, err, broken)
}
