package configs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postflight/postflight/configs"
)

func client(t *testing.T, text string) (dir string, c *configs.Client, err error) {
	t.Helper()
	dir = t.TempDir()
	file := filepath.Join(dir, "client.yml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	c, err = configs.LoadClient(file, func(name string) (string, bool) { return "desk", name == "DESK" },
		func() (string, error) { return "/home/dana", nil })
	return dir, c, err
}

func TestClientConfigurationIsRead(t *testing.T) {
	dir, c, err := client(t, `
url: https://postflight.example
token_file: token
context: staging
contexts:
  - { name: staging, url: "http://127.0.0.1:9095", token_file: ~/staging.token }
  - { name: desk, url: "http://${DESK}:9095/under", token_file: /etc/token }
`)
	require.NoError(t, err)
	require.Equal(t, &configs.Client{URL: "https://postflight.example", TokenFile: filepath.Join(dir, "token"), Context: "staging",
		Contexts: []configs.Context{
			{Name: "staging", URL: "http://127.0.0.1:9095", TokenFile: "/home/dana/staging.token"},
			{Name: "desk", URL: "http://desk:9095/under", TokenFile: "/etc/token"},
		}}, c)
}

// Each problem names the file, the place, the key, and what to do.
func TestClientConfigurationTellsEveryProblem(t *testing.T) {
	dir, _, err := client(t, `
url: postflight.example
token: whsec_x
tokenfile: x
context: stagin
contexts:
  - { name: staging }
  - { name: staging, url: "http://u:p@h" }
`)
	var problems configs.Problems
	require.ErrorAs(t, err, &problems)
	require.Equal(t, strings.ReplaceAll(`DIR/client.yml:2:6: url: must be a whole address such as http://host:8080/path (got "postflight.example")
DIR/client.yml:3:1: token: unknown field; did you mean "token_file"?
DIR/client.yml:4:1: tokenfile: unknown field; did you mean "token_file"?
DIR/client.yml:5:10: context: names none of `+"`contexts`"+`; did you mean "staging"? (got "stagin")
DIR/client.yml:7:5: contexts[0].url: is required
DIR/client.yml:8:13: contexts[1].name: another context has that name already, on line 7 (got "staging")
DIR/client.yml:8:27: contexts[1].url: must not hold a name or password: credentials belong into a file that a *_file key names (got "http://<secret>@h")`, "DIR", dir), err.Error())
}

func TestClientConfigurationWithoutAHome(t *testing.T) {
	file := filepath.Join(t.TempDir(), "client.yml")
	require.NoError(t, os.WriteFile(file, []byte("url: http://h\ntoken_file: ~/token\n"), 0o600))
	_, err := configs.LoadClient(file, func(string) (string, bool) { return "", false }, func() (string, error) { return "", errors.New("$HOME is not defined") })
	require.ErrorContains(t, err, `client.yml:2:13: token_file: begins with ~/, and the home is not known ($HOME is not defined): write the whole path (got "~/token")`)
	_, err = configs.LoadClient(file+".absent", nil, nil)
	require.ErrorContains(t, err, `.absent": no such file or directory`)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestNearNamesWhatThereIs(t *testing.T) {
	require.Equal(t, `; did you mean "staging"?`, configs.Near("stagin", []string{"staging"}))
	require.Equal(t, ": there are staging, desk", configs.Near("other", []string{"staging", "desk"}))
	require.Equal(t, ", for there are none", configs.Near("other", nil))
}
