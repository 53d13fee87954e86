package main

import (
	"database/sql"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write golden files anew")

func TestMain(m *testing.M) {
	// Scripts wait more than they compute: more of them at once than processors.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	if filepath.Base(os.Args[0]) != "postflight" { // in the tests themselves
		// Whoever runs them may have a client configuration.
		if err := os.Setenv("XDG_CONFIG_HOME", filepath.Join(os.TempDir(), "postflight-tests-have-none")); err != nil {
			panic(err)
		}
	}
	testscript.Main(m, map[string]func(){"postflight": main})
}

// TestScripts runs the real command against a real daemon and a real service.
// What a script may use beyond testscript's own commands is in scriptCommands.
func TestScripts(t *testing.T) {
	minimal, err := os.ReadFile(filepath.Join("testdata", "minimal.yml"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:  filepath.Join("testdata", "script"),
		Cmds: scriptCommands, UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			watched := newSite()
			e.Defer(watched.server.Close)
			e.Values[siteKey{}] = watched
			e.Setenv("SITE_URL", watched.server.URL)
			for name, content := range map[string]string{"token": scriptToken + "\n", "postflight.yml": string(minimal)} {
				file := filepath.Join(e.WorkDir, name)
				if _, err := os.Stat(file); err == nil {
					continue // the script brings its own
				}
				if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

const scriptToken = "pipeline-token-of-the-tests"

// scriptPatience is how long a script waits for what must come.
const scriptPatience = 20 * time.Second

var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"exits":   exits,
	"keep":    keepOutput,
	"daemon":  daemonCommand,
	"site":    siteCommand,
	"tamper":  tamper,
	"appears": appears,
}

// exits CODE ARGS... runs postflight and requires its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: exits CODE ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exited *exec.ExitError
	if err := ts.Exec("postflight", args[1:]...); errors.As(err, &exited) {
		got = exited.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}

// appears FILE PATTERN waits until a file that is being written matches.
func appears(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: appears FILE PATTERN")
	}
	eventually(ts, args[0], args[1], func() string {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		if err != nil {
			return err.Error()
		}
		return string(b)
	})
}

// tamper FILE STATEMENT changes a database behind its daemon's back.
func tamper(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tamper FILE STATEMENT")
	}
	// The daemon may be writing just now.
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0])+"?_pragma=busy_timeout(30000)")
	ts.Check(err)
	_, err = db.Exec(args[1])
	ts.Check(errors.Join(err, db.Close()))
}

// keep NAME puts the last output into an environment variable.
func keepOutput(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keep NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// eventually waits until the text matches the pattern.
func eventually(ts *testscript.TestScript, what, pattern string, text func() string) {
	re, err := regexp.Compile("(?m)" + pattern)
	ts.Check(err)
	for end := time.Now().Add(scriptPatience); !re.MatchString(text()); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("%s: no match for %q in\n%s", what, pattern, text())
		}
	}
}
