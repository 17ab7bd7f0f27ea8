package ownimage

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layer is a tree as the only layer of an image. It is not compressed, because it is only sent to nodes on this machine.
type layer struct {
	tree   Tree
	digest v1.Hash
	size   int64
}

// newLayer reads all files once, for the digest: the same files with the same modes give the same layer.
func newLayer(t Tree) (*layer, error) {
	l := &layer{tree: t}
	hash := sha256.New()
	size := &counter{}
	if err := l.write(io.MultiWriter(hash, size)); err != nil {
		return nil, err
	}
	l.digest, l.size = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(hash.Sum(nil))}, size.n
	return l, nil
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

// write writes the files as a tar archive, without times and owners.
func (l *layer) write(to io.Writer) error {
	archive := tar.NewWriter(to)
	for _, path := range l.tree.paths() {
		e := l.tree[path]
		header := &tar.Header{Name: strings.TrimPrefix(path, "/"), Mode: int64(e.mode.Perm()), Format: tar.FormatPAX}
		switch {
		case e.mode&fs.ModeSymlink != 0:
			header.Typeflag, header.Linkname = tar.TypeSymlink, e.link
		case e.mode.IsDir():
			header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
			if e.mode&fs.ModeSticky != 0 {
				header.Mode |= 0o1000
			}
		default:
			header.Typeflag, header.Size = tar.TypeReg, e.size
		}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if header.Typeflag == tar.TypeReg {
			if err := e.write(archive); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return archive.Close()
}

func (e entry) write(to io.Writer) error {
	if e.source == "" {
		_, err := io.WriteString(to, e.text)
		return err
	}
	file, err := os.Open(e.source)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(to, file)
	return err
}

func (l *layer) open() (io.ReadCloser, error) {
	r, w := io.Pipe()
	go func() { w.CloseWithError(l.write(w)) }()
	return r, nil
}

// Digest, DiffID, Compressed, Uncompressed, Size and MediaType are v1.Layer's.
func (l *layer) Digest() (v1.Hash, error)             { return l.digest, nil }
func (l *layer) DiffID() (v1.Hash, error)             { return l.digest, nil }
func (l *layer) Compressed() (io.ReadCloser, error)   { return l.open() }
func (l *layer) Uncompressed() (io.ReadCloser, error) { return l.open() }
func (l *layer) Size() (int64, error)                 { return l.size, nil }
func (l *layer) MediaType() (types.MediaType, error)  { return types.DockerUncompressedLayer, nil }
