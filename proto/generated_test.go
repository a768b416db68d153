// Package proto_test makes and checks the code of the API, and that released programs are understood.
package proto_test

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/pluginpb"
)

var update = flag.Bool("update", false, "write the generated code")

// generated is the folder that the plugins' options name, too.
const generated = "../internal/authapi"

// compile reads all protocol files.
func compile(t *testing.T) linker.Files {
	t.Helper()
	var names []string
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".proto") {
			names = append(names, path)
		}
		return err
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("%d protocol files: %v", len(names), err)
	}
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{"."}}),
		SourceInfoMode: protocompile.SourceInfoStandard, // comments become comments of the code
	}
	files, err := compiler.Compile(t.Context(), names...)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// request asks a plugin of protoc for the code of the files.
func request(files linker.Files, parameter string) *pluginpb.CodeGeneratorRequest {
	req := &pluginpb.CodeGeneratorRequest{Parameter: &parameter}
	seen := map[string]bool{}
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) { // after what it imports
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		req.ProtoFile = append(req.ProtoFile, protoutil.ProtoFromFileDescriptor(file))
	}
	for _, file := range files {
		req.FileToGenerate = append(req.FileToGenerate, file.Path())
		add(file)
	}
	return req
}

// generate runs a plugin, which is pinned in tools/go.mod.
func generate(t *testing.T, plugin string, req *pluginpb.CodeGeneratorRequest) map[string]string {
	t.Helper()
	input, err := proto.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "tool", "-modfile=tools/go.mod", plugin)
	cmd.Dir, cmd.Stdin = "..", bytes.NewReader(input)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", plugin, err, &complaints)
	}
	var res pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(output, &res); err != nil || res.GetError() != "" {
		t.Fatalf("%s: %v, %s", plugin, err, res.GetError())
	}
	made := map[string]string{}
	for _, file := range res.GetFile() {
		made[file.GetName()] = file.GetContent()
	}
	return made
}

// TestGeneratedCodeIsFresh compares the code with what the protocol files make. With -update it
// writes the code.
func TestGeneratedCodeIsFresh(t *testing.T) {
	t.Parallel()
	if _, err := os.ReadFile("../tools/go.mod"); err != nil { // so that other versions of the plugins count as a change
		t.Fatal(err)
	}
	files := compile(t)
	made := generate(t, "protoc-gen-go", request(files, "module=sallyport/internal/authapi"))
	for name, code := range generate(t, "protoc-gen-connect-go", request(files, "module=sallyport/internal/authapi,simple=true")) {
		made[name] = code
	}
	for _, pattern := range []string{"/sallyportv1/*.go", "/sallyportv1/*/*.go"} {
		present, err := filepath.Glob(generated + pattern)
		if err != nil || len(present) == 0 {
			t.Fatalf("%d files of %s: %v", len(present), pattern, err)
		}
		for _, name := range present {
			if _, ok := made[strings.TrimPrefix(name, generated+"/")]; !ok {
				t.Errorf("%s: no protocol file makes this; remove it", name)
			}
		}
	}
	for name, code := range made {
		name = filepath.Join(generated, name)
		if *update {
			if err := os.WriteFile(name, []byte(code), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if old, err := os.ReadFile(name); err != nil || string(old) != code {
			t.Errorf("%s is not what the protocol files make (%v); run make generate", name, err)
		}
	}
}
