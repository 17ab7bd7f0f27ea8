package schema

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// docComments reads the comments of types and their fields, by commentKey.
func docComments(dirs []string) (map[string]string, error) {
	comments := map[string]string{}
	for _, dir := range dirs {
		root, module, err := moduleOf(dir)
		if err != nil {
			return nil, err
		}
		err = filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() && entry.Name() == "testdata" {
				return fs.SkipDir
			}
			if entry.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return nil
			}
			full, err := filepath.Abs(filepath.Dir(file))
			if err != nil {
				return err
			}
			below, err := filepath.Rel(root, full)
			if err != nil {
				return err
			}
			return readComments(file, path.Join(module, filepath.ToSlash(below)), comments)
		})
		if err != nil {
			return nil, err
		}
	}
	return comments, nil
}

var moduleLine = regexp.MustCompile(`(?m)^module\s+(\S+)`)

// moduleOf finds the go.mod that a directory belongs to, for import paths are counted from there.
func moduleOf(dir string) (root, module string, err error) {
	root, err = filepath.Abs(dir)
	if err != nil {
		return "", "", err
	}
	for {
		data, err := os.ReadFile(filepath.Join(root, "go.mod"))
		if m := moduleLine.FindSubmatch(data); err == nil && m != nil {
			return root, string(m[1]), nil
		}
		if root == filepath.Dir(root) {
			return "", "", fmt.Errorf("%s is in no Go module", dir)
		}
		root = filepath.Dir(root)
	}
}

func readComments(file, pkg string, comments map[string]string) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, decl := range parsed.Decls {
		types, ok := decl.(*ast.GenDecl)
		if !ok || types.Tok != token.TYPE {
			continue
		}
		for _, spec := range types.Specs {
			one := spec.(*ast.TypeSpec)
			doc := one.Doc
			if doc == nil {
				doc = types.Doc
			}
			comments[commentKey(pkg, one.Name.Name)] = oneLine(doc)
			fields, ok := one.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range fields.Fields.List {
				doc := field.Doc
				if doc == nil {
					doc = field.Comment // behind the field, on its line
				}
				for _, name := range field.Names {
					comments[commentKey(pkg, one.Name.Name, name.Name)] = oneLine(doc)
				}
			}
		}
	}
	return nil
}

// commentKey is how the reflector looks comments up.
func commentKey(pkg string, names ...string) string { return pkg + "." + strings.Join(names, ".") }

// oneLine joins the lines of a comment: where they break says nothing in an editor.
func oneLine(doc *ast.CommentGroup) string { return strings.Join(strings.Fields(doc.Text()), " ") }

func lastPart(pkg string) string { return path.Base(pkg) }

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
