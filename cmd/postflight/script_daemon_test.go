package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// transcript is what a process says or a server is sent, readable meanwhile.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(b)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// process is a daemon under test.
type process struct {
	cmd    *exec.Cmd
	log    *transcript
	exited chan error
}

// daemons are the running daemon of each script.
var daemons sync.Map // *testscript.TestScript -> *process

var listening = regexp.MustCompile(`listening.*address"?[=:]"?(127\.0\.0\.1:\d+)`)

// daemonCommand runs a daemon beside the script:
//
//	daemon start [NAME=VALUE...] [FLAGS...]  serve, and wait until it is ready; sets POSTFLIGHT_URL
//	daemon logs PATTERN                      wait until its log matches
//	daemon hangup                            SIGHUP
//	daemon stop                              SIGTERM, exit code 0 within 10 s
//	daemon get PATH PATTERN                  wait until the answer matches
func daemonCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: daemon start|logs|hangup|stop|get")
	}
	if args[0] == "start" {
		startDaemon(ts, args[1:])
		return
	}
	found, ok := daemons.Load(ts)
	if !ok {
		ts.Fatalf("no daemon was started")
	}
	p := found.(*process)
	switch args[0] {
	case "logs":
		eventually(ts, "daemon's log", args[1], p.log.String)
	case "hangup":
		ts.Check(p.cmd.Process.Signal(syscall.SIGHUP))
	case "stop":
		stopDaemon(ts, p)
	case "get":
		eventually(ts, args[1], args[2], func() string { return get(ts.Getenv("POSTFLIGHT_URL") + args[1]) })
	default:
		ts.Fatalf("daemon %s: no such command", args[0])
	}
}

func startDaemon(ts *testscript.TestScript, args []string) {
	p := &process{log: &transcript{}, exited: make(chan error, 1)}
	env := []string{"PATH=" + os.Getenv("PATH"), "SITE_URL=" + ts.Getenv("SITE_URL"), "POSTFLIGHT_WEB_LISTEN_ADDRESS=127.0.0.1:0"}
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		env, args = append(env, args[0]), args[1:]
	}
	p.cmd = exec.Command("postflight", append([]string{"serve"}, args...)...)
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = ts.MkAbs("."), env, p.log, p.log
	ts.Check(p.cmd.Start())
	go func() { p.exited <- p.cmd.Wait() }()
	daemons.Store(ts, p)
	ts.Defer(func() {
		if _, running := daemons.LoadAndDelete(ts); running {
			_ = p.cmd.Process.Kill()
			<-p.exited
		}
		ts.Logf("[daemon]\n%s", p.log)
	})
	eventually(ts, "daemon's start", listening.String(), p.log.String)
	url := "http://" + listening.FindStringSubmatch(p.log.String())[1]
	ts.Setenv("POSTFLIGHT_URL", url)
	eventually(ts, "/-/ready", "postflight is ready", func() string { return get(url + "/-/ready") })
}

func stopDaemon(ts *testscript.TestScript, p *process) {
	daemons.Delete(ts)
	ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-p.exited:
		ts.Check(err)
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
		ts.Fatalf("the daemon did not end within 10 s of SIGTERM")
	}
}

// get returns the body of an answer, or the error as text.
func get(url string) string {
	resp, err := http.Get(url) // #nosec G107 -- the daemon under test
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

type siteKey struct{}

// site is the service that is watched, its rollback hook and a receiver.
type site struct {
	server *httptest.Server
	bad    atomic.Bool
	posts  transcript
}

func newSite() *site {
	s := &site{}
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(&s.posts, "%s %s\n", r.URL.Path, body)
			w.WriteHeader(http.StatusAccepted)
		case s.bad.Load():
			http.Error(w, "broken", http.StatusInternalServerError)
		}
	}))
	return s
}

// siteCommand works on the service that is watched:
//
//	site good|bad                   how it answers from now on
//	site asked PATTERN              wait until it was posted what matches
//	! site asked PATTERN            and has not been so far
func siteCommand(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(siteKey{}).(*site)
	switch {
	case len(args) == 1 && args[0] == "good":
		s.bad.Store(false)
	case len(args) == 1 && args[0] == "bad":
		s.bad.Store(true)
	case len(args) == 2 && args[0] == "asked" && neg:
		if regexp.MustCompile("(?m)" + args[1]).MatchString(s.posts.String()) {
			ts.Fatalf("it was asked:\n%s", &s.posts)
		}
	case len(args) == 2 && args[0] == "asked":
		eventually(ts, "what was posted", args[1], s.posts.String)
	default:
		ts.Fatalf("usage: site good|bad|asked PATTERN")
	}
}
