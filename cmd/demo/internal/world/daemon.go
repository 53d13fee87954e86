package world

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How long the daemon may take.
const (
	startLimit = 20 * time.Second
	stopLimit  = 12 * time.Second // its own promise is 10s
)

// listening is the line that the daemon logs once its port is open.
var listening = regexp.MustCompile(`msg="?listening"? .*address=(\S+)`)

// Daemon is a postflight running as a process of its own.
type Daemon struct {
	binary, config string
	logFile        string
	environment    []string // beside the caller's
	arguments      []string // beside the usual ones

	mu      sync.Mutex
	address string // fixed by the first start
	command *exec.Cmd
	exited  chan struct{}
	log     *logWriter
	lives   []Life
}

// NewDaemon returns a daemon that is not started yet; its log goes to a file
// beside the configuration.
func NewDaemon(binary, config string) *Daemon {
	return &Daemon{
		binary: binary, config: config, address: "127.0.0.1:0",
		logFile: filepath.Join(filepath.Dir(config), "postflight.log"),
	}
}

// With adds environment variables, NAME=VALUE, and arguments to those that the
// daemon is started with.
func (d *Daemon) With(environment, arguments []string) *Daemon {
	d.environment = append(d.environment, environment...)
	d.arguments = append(d.arguments, arguments...)
	return d
}

// Start runs the daemon and returns when it is ready. After a Stop or Kill it
// comes back on the same port.
func (d *Daemon) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := d.launch(); err != nil {
		return err
	}
	select {
	case address := <-d.log.address:
		d.mu.Lock()
		d.address = address
		d.mu.Unlock()
	case <-d.exited:
		return fmt.Errorf("start postflight: it ended at once, with exit code %d:\n%s", d.command.ProcessState.ExitCode(), d.Log())
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("start postflight: it logged no address within %s:\n%s", startLimit, d.Log()), d.Kill())
	}
	if err := d.waitReady(ctx); err != nil {
		return err
	}
	d.born()
	return nil
}

func (d *Daemon) launch() error {
	file, err := os.OpenFile(d.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start postflight: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = &logWriter{file: file, address: make(chan string, 1)}
	//nolint:noctx // the daemon lives longer than the context of its start
	d.command = exec.Command(d.binary, append([]string{"serve", "--config.file=" + d.config, "--web.listen-address=" + d.address}, d.arguments...)...) // #nosec G204 -- our own build
	d.command.Dir = filepath.Dir(d.config)
	d.command.Env = append(withoutOwnVariables(os.Environ()), d.environment...)
	d.command.Stderr = d.log
	d.command.Stdout = d.log
	if err := d.command.Start(); err != nil {
		return errors.Join(fmt.Errorf("start postflight: %w", err), file.Close())
	}
	exited, command := make(chan struct{}), d.command
	d.exited = exited
	go func() {
		_ = command.Wait() // its exit code is read where it matters
		d.dies(command.ProcessState.ExitCode() != 0)
		_ = file.Close()
		close(exited)
	}()
	return nil
}

// withoutOwnVariables keeps settings of the caller's shell out of the demo.
func withoutOwnVariables(environ []string) []string {
	out := make([]string, 0, len(environ))
	for _, v := range environ {
		if !strings.HasPrefix(v, "POSTFLIGHT_") {
			out = append(out, v)
		}
	}
	return out
}

func (d *Daemon) waitReady(ctx context.Context) error {
	for {
		if d.ready(ctx) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("start postflight: it is not ready after %s:\n%s", startLimit, d.Log())
		case <-d.exited:
			return fmt.Errorf("start postflight: it ended before it was ready:\n%s", d.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (d *Daemon) ready(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL()+"/-/ready", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// Stop asks the daemon to end, as a service manager does, and returns an error
// unless it leaves in time with exit code 0.
func (d *Daemon) Stop() error {
	if !d.Running() {
		return nil
	}
	d.dies(false)
	// A Ctrl-C on the terminal reaches the daemon as well, perhaps before us.
	if err := d.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop postflight: %w", err)
	}
	select {
	case <-d.exited:
	case <-time.After(stopLimit):
		return errors.Join(fmt.Errorf("stop postflight: it still runs %s after SIGTERM", stopLimit), d.Kill())
	}
	if code := d.command.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("stop postflight: it left with exit code %d:\n%s", code, d.Log())
	}
	return nil
}

// Kill ends the daemon as a crash does, with SIGKILL.
func (d *Daemon) Kill() error {
	if !d.Running() {
		return nil
	}
	d.dies(true)
	if err := d.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill postflight: %w", err)
	}
	<-d.exited
	return nil
}

// Signal sends a signal, and does not wait for what comes of it.
func (d *Daemon) Signal(s syscall.Signal) error {
	d.mu.Lock()
	command := d.command
	d.mu.Unlock()
	if err := command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send postflight a %s: %w", s, err)
	}
	return nil
}

// Ended is closed when the process of the last Start has ended.
func (d *Daemon) Ended() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.exited
}

// ExitCode waits for the process to end and says how it did; -1 is by a signal.
func (d *Daemon) ExitCode() int {
	<-d.Ended()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.command.ProcessState.ExitCode()
}

// Running reports whether the process lives.
func (d *Daemon) Running() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.command == nil {
		return false
	}
	select {
	case <-d.exited:
		return false
	default:
		return true
	}
}

// Address is where the daemon listens, HOST:PORT.
func (d *Daemon) Address() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.address
}

// URL is the daemon's root.
func (d *Daemon) URL() string { return "http://" + d.Address() }
