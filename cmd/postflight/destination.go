package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/postflight/postflight/cmd/postflight/internal/terminal"
	"github.com/postflight/postflight/configs"
)

// clientConfigVariable names the client configuration in place of the usual one.
const clientConfigVariable = "POSTFLIGHT_CLIENT_CONFIG"

// clientFlags are those of every command that talks to a daemon.
func clientFlags(flags *pflag.FlagSet) {
	flags.String("url", defaultURL, "address of the daemon (POSTFLIGHT_URL, or url of the client configuration)")
	flags.String("token-file", "", "file with the bearer token (POSTFLIGHT_TOKEN_FILE; or the token itself in POSTFLIGHT_TOKEN; or token_file of the client configuration)")
	flags.String("context", "", "daemon of that name in the client configuration (POSTFLIGHT_CONTEXT)")
}

// destination is the daemon that a command talks to, and with which token.
type destination struct {
	url       string
	token     string // as it stands in the environment
	tokenFile string
	said      string // what names the token file: a flag, or the client configuration
	own       bool   // the token file is the person's own, by the client configuration
}

// destinationOf finds the daemon: a flag wins over the environment, that over
// the client configuration. A token of the configuration goes to the daemon
// that it stands beside there, and to no other address.
func destinationOf(cmd *cobra.Command) (destination, error) {
	v, err := settings(cmd.Flags())
	if err != nil {
		return destination{}, err
	}
	entry, named, err := configured(cmd, v)
	if err != nil {
		return destination{}, err
	}
	byFlag := func(name string) bool { return cmd.Flags().Changed(name) }
	if byFlag("url") && byFlag("context") {
		return destination{}, usagef("--url and --context both name a daemon: give one of them")
	}
	chosen := byFlag("context") // then the environment, which is of another daemon, has less to say
	to := destination{url: v.GetString("url"), token: v.GetString("token"), tokenFile: v.GetString("token-file"), said: "--token-file"}
	if chosen || !byFlag("url") && os.Getenv("POSTFLIGHT_URL") == "" && entry.URL != "" {
		to.url = entry.URL
	}
	given := to.tokenFile != "" || to.token != ""
	if entry.TokenFile == "" || !sameDaemon(to.url, entry.URL) || byFlag("token-file") || given && !chosen {
		return to, nil
	}
	to.token, to.tokenFile, to.said, to.own = "", entry.TokenFile, "token_file in "+named, true
	return to, nil
}

func sameDaemon(a, b string) bool { return strings.TrimRight(a, "/") == strings.TrimRight(b, "/") }

// configured is the daemon that the client configuration means, and the file's
// name; the zero one where there is no such file.
func configured(cmd *cobra.Command, v *viper.Viper) (entry configs.Context, file string, err error) {
	c, file, err := clientConfig()
	if err != nil {
		return entry, file, usagef("%v", err)
	}
	name := v.GetString("context")
	switch {
	case name != "" && c == nil:
		return entry, file, usagef("--context: there is no client configuration to name %q: write %s", name, file)
	case c == nil:
		return entry, file, nil
	case name == "":
		name = c.Context
	}
	if name == "" {
		// A token without an address is of the daemon that is meant by default.
		return configs.Context{URL: orDefault(c.URL), TokenFile: c.TokenFile}, file, nil
	}
	entry, known := c.Named(name)
	if !known {
		var names []string
		for _, one := range c.Contexts {
			names = append(names, one.Name)
		}
		return entry, file, usagef("--context: %s has no context of that name%s (got %q)", file, configs.Near(name, names), name)
	}
	return entry, file, nil
}

func orDefault(url string) string {
	if url == "" {
		return defaultURL
	}
	return url
}

// clientConfig reads the client configuration; nil where there is none. One
// that the environment names must be there.
func clientConfig() (*configs.Client, string, error) {
	file := os.Getenv(clientConfigVariable)
	asked := file != ""
	if !asked {
		folder, err := os.UserConfigDir()
		if err != nil {
			return nil, "the file that " + clientConfigVariable + " names", nil //nolint:nilerr // a machine without homes has none
		}
		file = filepath.Join(folder, "postflight", "client.yml")
	}
	c, err := configs.LoadClient(file, os.LookupEnv, os.UserHomeDir)
	switch {
	case err == nil:
		return c, file, nil
	case errors.Is(err, fs.ErrNotExist) && !asked:
		return nil, file, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, file, fmt.Errorf("%s: %w: write the file, or unset the variable", clientConfigVariable, err)
	}
	return nil, file, err
}

// readToken reads the token, and warns where a person's own token is no secret.
func (d destination) readToken(warn io.Writer) (string, error) {
	if d.tokenFile == "" {
		return d.token, nil
	}
	b, err := os.ReadFile(d.tokenFile)
	if err != nil {
		return "", usagef("%s: %v", d.said, err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return "", usagef("%s: %s is empty", d.said, d.tokenFile)
	}
	if info, err := os.Stat(d.tokenFile); d.own && err == nil && info.Mode().Perm()&0o077 != 0 {
		fmt.Fprintf(warn, "warning: %s, which holds your token, is open to others (mode %04o): chmod 600 %s\n",
			terminal.Clean(d.tokenFile), info.Mode().Perm(), terminal.Clean(d.tokenFile))
	}
	return token, nil
}
