package ban

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const crashVariable = "WEIR_TEST_CRASH_FILE"

// crashChild is the process that TestCrash kills: it decides, commits, and prints
// what people may have seen from then on. It works on the file for as long as it
// lives.
func crashChild() {
	path := os.Getenv(crashVariable)
	if path == "" {
		return
	}
	ctx := context.Background()
	s, err := Open(ctx, Config{Path: path, Duration: time.Hour})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		a := alert(fmt.Sprintf("10.%d.%d.%d/32", i>>16&255, i>>8&255, i&255), time.Now())
		s.Alert(a)
		if i%3 == 0 { // some commits store several
			continue
		}
		if err := s.Commit(ctx); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ban", a.Client)
		if i%10 == 1 {
			if _, err := s.Remove(ctx, a.Client); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			fmt.Println("unban", a.Client)
		}
	}
}

// Whenever the process is killed, what it had shown is there, and the file opens.
func TestCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	path := filepath.Join(t.TempDir(), "bans.db")
	for range 5 {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		shown := runAndKill(t, path, 20+rand.IntN(200))
		s, err := Open(t.Context(), Config{Path: path, Duration: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		banned := make(map[string]bool)
		for d := range s.InForce(time.Now()) {
			banned[d.Prefix.String()] = true
		}
		for client, want := range shown {
			if banned[client] != want {
				t.Errorf("%s: banned after the crash = %t, but shown as %t", client, banned[client], want)
			}
			if !want {
				s.Alert(alert(client, time.Now().Add(-time.Minute)))
				if s.Banned(netip.MustParsePrefix(client), time.Now().Add(-time.Minute).UnixMilli()) {
					t.Errorf("%s: the unban was forgotten", client)
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// runAndKill kills a child after it has printed so many lines, and returns what
// it said about each client last. Of the client it was at work on it said nothing
// that holds, so that one is left out.
func runAndKill(t *testing.T, path string, lines int) map[string]bool {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashVariable+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	shown := make(map[string]bool)
	last := ""
	for in := bufio.NewScanner(out); in.Scan(); lines-- {
		what, client, ok := strings.Cut(in.Text(), " ")
		if !ok || what != "ban" && what != "unban" {
			t.Errorf("the child: %s", in.Text())
		}
		shown[client], last = what == "ban", client
		if lines == 0 {
			cmd.Process.Kill() // and read on: what is in the pipe was shown, too
		}
	}
	cmd.Wait() // killed: its error says just that
	if shown[last] {
		delete(shown, last) // perhaps it was being unbanned
	}
	return shown
}
