package spanbucketexporter

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const modulePath = "github.com/spanbucket/spanbucketexporter"

// sourceFile is one Go file of the checkout, parsed.
type sourceFile struct {
	path    string // from the root, with slashes
	room    string // its folder; "." for the root
	module  string // the folder of its go.mod; "." for the root module
	isTest  bool
	syntax  *ast.File
	imports []string
	lines   int
}

func (f *sourceFile) generated() bool { return ast.IsGenerated(f.syntax) }

// skipped are folders that hold nothing of the project.
var skipped = []string{".git", ".tmp", "bin", "_build", "testdata"}

// walkTree calls visit for every file of the checkout. The tests that use it
// read files themselves instead of asking git or the go command, so that the
// test cache notices every change.
func walkTree(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(skipped, entry.Name()):
			return filepath.SkipDir
		case !entry.IsDir():
			visit(filepath.ToSlash(file))
		}
		return nil
	})
	require.NoError(t, err)
}

// readSources parses every Go file of the checkout, those of nested modules
// too.
func readSources(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	modules := map[string]bool{".": true}
	set := token.NewFileSet()
	walkTree(t, func(file string) {
		if path.Base(file) == "go.mod" {
			modules[path.Dir(file)] = true
		}
		if path.Ext(file) != ".go" {
			return
		}
		syntax, err := parser.ParseFile(set, file, nil, parser.ParseComments)
		require.NoError(t, err)
		f := sourceFile{
			path: file, room: path.Dir(file), isTest: strings.HasSuffix(file, "_test.go"), syntax: syntax,
			lines: set.File(syntax.FileStart).LineCount() - 1,
		}
		for _, spec := range syntax.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err, file)
			f.imports = append(f.imports, name)
		}
		files = append(files, f)
	})
	require.NotEmpty(t, files)
	for i := range files {
		module := files[i].room
		for !modules[module] {
			module = path.Dir(module)
		}
		files[i].module = module
	}
	return files
}

// isStandard tells whether a package belongs to Go's standard library.
func isStandard(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return !strings.Contains(first, ".")
}

// readModule returns what a go.mod requires, with versions, and how many
// replace directives it has.
func readModule(t *testing.T, folder string) (required map[string]string, replaced int) {
	t.Helper()
	file, err := os.Open(path.Join(folder, "go.mod"))
	require.NoError(t, err)
	defer file.Close()
	required = map[string]string{}
	block := ""
	for lines := bufio.NewScanner(file); lines.Scan(); {
		text, _, _ := strings.Cut(lines.Text(), "//")
		words := strings.Fields(text)
		switch {
		case len(words) == 0:
			continue
		case block == "" && len(words) == 2 && words[1] == "(":
			block = words[0]
			continue
		case words[0] == ")":
			block = ""
			continue
		case block == "":
			block, words = words[0], words[1:]
			if block == "require" && len(words) == 2 {
				required[words[0]] = words[1]
			}
			if block == "replace" {
				replaced++
			}
			block = ""
			continue
		}
		switch block {
		case "require":
			required[words[0]] = words[1]
		case "replace":
			replaced++
		}
	}
	require.NotEmpty(t, required, folder)
	return required, replaced
}

// directModules returns the modules that the files of a module import
// something of: its direct requirements.
func directModules(t *testing.T, files []sourceFile, folder string) map[string]bool {
	t.Helper()
	required, _ := readModule(t, folder)
	direct := map[string]bool{}
	for _, f := range files {
		if f.module != folder {
			continue
		}
		for _, name := range f.imports {
			if isStandard(name) || name == modulePath || strings.HasPrefix(name, modulePath+"/") {
				continue
			}
			module := name
			for required[module] == "" && module != "." {
				module = path.Dir(module)
			}
			require.NotEqual(t, ".", module, "%s imports %s, which %s/go.mod does not require", f.path, name, folder)
			direct[module] = true
		}
	}
	return direct
}
