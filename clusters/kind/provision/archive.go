package provision

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// imageName is the annotation with an image's name in an OCI archive. containerd uses its own annotation.
var imageName = []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"}

// imagesIn lists the names of the images in an archive: of docker save, or an OCI layout; compressed or not.
func imagesIn(path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	names, err := readNames(file)
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", path, err)
	}
	return names, nil
}

func readNames(file io.ReadSeeker) ([]string, error) {
	var in io.Reader = file
	unzipped, err := gzip.NewReader(file)
	if err == nil {
		in = unzipped
	} else if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var names []string
	known := false
	for files := tar.NewReader(in); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch strings.TrimPrefix(header.Name, "./") {
		case "manifest.json":
			var list []struct{ RepoTags []string }
			if err := json.NewDecoder(files).Decode(&list); err != nil {
				return nil, fmt.Errorf("manifest.json: %w", err)
			}
			known = true
			for _, image := range list {
				names = append(names, image.RepoTags...)
			}
		case "index.json":
			var index struct {
				Manifests []struct{ Annotations map[string]string }
			}
			if err := json.NewDecoder(files).Decode(&index); err != nil {
				return nil, fmt.Errorf("index.json: %w", err)
			}
			known = true
			for _, image := range index.Manifests {
				for _, key := range imageName {
					if name := image.Annotations[key]; name != "" {
						names = append(names, name)
						break
					}
				}
			}
		}
	}
	if !known {
		return nil, errors.New("not an image archive: it has neither manifest.json nor index.json")
	}
	return names, nil
}

// holdsNode says whether one of the images is the nodes' image.
func holdsNode(names []string, image string) bool {
	for _, name := range names {
		name = strings.TrimPrefix(name, "docker.io/")
		tag, _, _ := strings.Cut(strings.TrimPrefix(image, "docker.io/"), "@")
		if name == tag || image == "" && (strings.HasPrefix(name, ownImage+":") || strings.HasPrefix(name, "kindest/node:")) {
			return true
		}
	}
	return false
}

// sortArchives separates archives with the nodes' image from archives to load into the nodes.
func sortArchives(archives []string, image string) (forEngine, forNodes []string, err error) {
	var errs []error
	for _, archive := range archives {
		names, err := imagesIn(archive)
		errs = append(errs, err)
		if holdsNode(names, image) {
			forEngine = append(forEngine, archive)
		} else {
			forNodes = append(forNodes, archive)
		}
	}
	return forEngine, forNodes, errors.Join(errs...)
}
