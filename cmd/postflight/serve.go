package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"

	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"

	"github.com/postflight/postflight/cmd/postflight/internal/app"
)

func serveCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long: `Runs the daemon until SIGTERM or an interrupt. SIGHUP reads the configuration
again. Every flag may also be given by the environment: --web.listen-address is
POSTFLIGHT_WEB_LISTEN_ADDRESS.`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := serveOptions(cmd, s)
			if err != nil {
				return err
			}
			if o, err = withFaults(o); err != nil {
				return err
			}
			return serve(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.String("config.file", "postflight.yml", "configuration file")
	f.String("web.listen-address", "127.0.0.1:9095", "HOST:PORT to listen on; beyond loopback only with access in the configuration")
	f.String("web.config.file", "", "TLS configuration, as for Prometheus")
	f.String("web.external-url", "", "address under which people reach the daemon (default: the listen address)")
	f.Bool("web.allow-insecure", false, "listen beyond loopback without `access`")
	f.Bool("web.enable-lifecycle", false, "reload by POST /-/reload")
	f.String("storage.url", "", "where state is kept, such as sqlite:postflight.db or postgres://user@host/postflight (default: storage.url of the configuration)")
	f.String("log.level", "info", "debug, info, warn or error")
	f.String("log.format", "logfmt", "logfmt or json")
	return cmd
}

// serveOptions collects flags and environment.
func serveOptions(cmd *cobra.Command, s streams) (app.Options, error) {
	v, err := settings(cmd.Flags())
	if err != nil {
		return app.Options{}, err
	}
	for _, name := range []string{"web.allow-insecure", "web.enable-lifecycle"} {
		// From the environment it may be anything; viper would take it for false.
		if _, err := strconv.ParseBool(v.GetString(name)); err != nil {
			return app.Options{}, usagef("--%s: true or false (got %q)", name, v.GetString(name))
		}
	}
	level, format := promslog.NewLevel(), promslog.NewFormat()
	if err := level.Set(v.GetString("log.level")); err != nil {
		return app.Options{}, usagef("--log.level: debug, info, warn or error (got %q)", v.GetString("log.level"))
	}
	if err := format.Set(v.GetString("log.format")); err != nil {
		return app.Options{}, usagef("--log.format: logfmt or json (got %q)", v.GetString("log.format"))
	}
	return app.Options{
		ConfigFile: v.GetString("config.file"), ListenAddress: v.GetString("web.listen-address"),
		WebConfigFile: v.GetString("web.config.file"), ExternalURL: v.GetString("web.external-url"),
		StorageURL: v.GetString("storage.url"), AllowInsecure: v.GetBool("web.allow-insecure"),
		EnableLifecycle: v.GetBool("web.enable-lifecycle"), Version: version.Version, Env: os.LookupEnv,
		Log: promslog.New(&promslog.Config{Level: level, Format: format, Writer: s.err}),
	}, nil
}

// garbage is GOGC where nobody sets it: an eighth less memory than Go's own for a
// few hundredths of a core.
const garbage = 75

// serve runs the daemon until ctx ends.
func serve(ctx context.Context, o app.Options) error {
	o.Log.Info("starting postflight", "version", version.Info(), "config", o.ConfigFile)
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(garbage)
	}
	// From here on, so that a reload asked for early doesn't end the process.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	daemon, err := app.New(ctx, o)
	if err != nil && ctx.Err() != nil {
		o.Log.Info("stopped before it had started", "err", err)
		return nil
	}
	if err != nil {
		return err
	}
	if err := daemon.Start(ctx); err != nil {
		return fmt.Errorf("start: %w", stopAfter(daemon, err))
	}
	for {
		select {
		case <-hangup:
			if err := daemon.Reload(ctx); err != nil {
				o.Log.Error("reload: the old configuration stays in force", "err", err)
			}
		case err := <-daemon.Served():
			return stopAfter(daemon, err)
		case <-ctx.Done():
			o.Log.Info("stopping")
			err := daemon.Stop()
			logStopped(o.Log, err)
			return err
		}
	}
}

func stopAfter(daemon *app.App, err error) error {
	if stopErr := daemon.Stop(); stopErr != nil {
		return fmt.Errorf("%w (and while stopping: %w)", err, stopErr)
	}
	return err
}

func logStopped(log *slog.Logger, err error) {
	if err == nil {
		log.Info("stopped")
	}
}
