package results

import (
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/relapse-k8s/relapse/harness/regular"
)

// maxWindow is how much memory a file may ask for to be decompressed, in bytes. What relapse writes needs no more than that.
const maxWindow = 8 << 20

var (
	packers = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithWindowSize(maxWindow), zstd.WithEncoderConcurrency(1))
	})
	unpackers = sync.Pool{New: func() any {
		// No option of these is refused, and without a reader there is nothing else that fails.
		d, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		return d
	}}
)

// pack compresses lines.
func pack(lines []byte) ([]byte, error) {
	encoder, err := packers()
	if err != nil {
		return nil, err
	}
	return encoder.EncodeAll(lines, nil), nil
}

// unpack decompresses a file, at most regular.MaxResults bytes. With an error it returns what comes before the damage.
func unpack(packed []byte) ([]byte, error) {
	decoder := unpackers.Get().(*zstd.Decoder)
	defer unpackers.Put(decoder)
	if err := decoder.Reset(bytes.NewReader(packed)); err != nil {
		return nil, err
	}
	lines, err := io.ReadAll(io.LimitReader(decoder, regular.MaxResults+1))
	if len(lines) > regular.MaxResults {
		return lines[:regular.MaxResults], errTooLong
	}
	return lines, err
}
