package house

import (
	"debug/buildinfo"
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// An instruction is one line of the Dockerfile.
type instruction struct{ name, rest string }

// dockerfile returns the instructions of the build stage and of the image.
func dockerfile(t *testing.T) (build, image []instruction) {
	t.Helper()
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	var stages [][]instruction
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.HasSuffix(line, `\`) {
			t.Fatalf("%q goes on in the next line: keep the Dockerfile so plain that this test can read it", line)
		}
		name, rest, _ := strings.Cut(line, " ")
		if name == "FROM" {
			stages = append(stages, nil)
		}
		last := len(stages) - 1
		stages[last] = append(stages[last], instruction{name, rest})
	}
	if len(stages) != 2 {
		t.Fatalf("%d stages, want 2", len(stages))
	}
	return stages[0], stages[1]
}

// TestImageIsSmallAndPowerless: nothing is in the image but what is copied from
// the build stage, and it does not run as root.
func TestImageIsSmallAndPowerless(t *testing.T) {
	_, image := dockerfile(t)
	for _, want := range []instruction{
		{"FROM", "scratch"},
		{"COPY", "--from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/"},
		{"USER", "65532:65532"}, // a number, since there is no passwd to look a name up in
		{"COPY", "--from=build --chown=65532:65532 /src/out/state /var/lib/weir"},
		{"VOLUME", "/var/lib/weir"},
		{"ENV", "WEIR_BAN_FILE=/var/lib/weir/weir.db"},
		{"STOPSIGNAL", "SIGTERM"},
	} {
		if !slices.Contains(image, want) {
			t.Errorf("the image lacks %q", want)
		}
	}
}

// TestImageBuild runs the commands of the build stage in a copy of the tree and
// looks at what they leave.
func TestImageBuild(t *testing.T) {
	if os.Getenv("WEIR_TEST_IMAGE") == "" {
		t.Skip(`it builds the program once more: "make image-check" runs it`)
	}
	root := t.TempDir()
	copyTree(t, ".", root)
	build, image := dockerfile(t)
	for _, in := range build {
		switch in.name {
		case "RUN":
			cmd := exec.Command("sh", "-c", in.rest)
			cmd.Dir, cmd.Env = root, append(os.Environ(), "GOOS=linux")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", in.rest, err, out)
			}
		case "FROM", "WORKDIR", "COPY": // what the copy stands for
		default:
			t.Fatalf("the build stage has a %s, which this test does not know", in.name)
		}
	}
	for _, in := range image {
		words := strings.Fields(in.rest)
		if source, ours := strings.CutPrefix(words[max(0, len(words)-2)], "/src/"); in.name == "COPY" && ours {
			if _, err := os.Stat(filepath.Join(root, source)); err != nil {
				t.Errorf("COPY %s: %v", in.rest, err)
			}
		}
	}
	checkStatic(t, filepath.Join(root, "out", "weir"), root)
}

// copyTree copies what Docker would send to the build, more or less: .git is
// left out, and with it the revision that the build would stamp.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "bin", "out"}, name):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkStatic: the program needs no loader and no library, and does not depend
// on where it was built.
func checkStatic(t *testing.T, name, root string) {
	t.Helper()
	f, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the program is not static: it has a %s segment", p.Type)
		}
	}
	info, err := buildinfo.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CGO_ENABLED=0", "-trimpath=true"} {
		key, value, _ := strings.Cut(want, "=")
		if !slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == key && s.Value == value }) {
			t.Errorf("the program was not built with %s: %v", want, info.Settings)
		}
	}
	if info.Path != "weir/cmd/weir" {
		t.Errorf("the program is %s", info.Path)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), root) {
		t.Errorf("the program knows that it was built in %s", root)
	}
	t.Logf("%d MiB", len(text)>>20)
}
