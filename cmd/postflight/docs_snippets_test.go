package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
)

// snippet is a block of code on a page that people read.
type snippet struct {
	page     string // from the root
	line     int
	language string // "" where none is said
	text     string
}

// snippets returns every block of code of the pages, in their order, as a
// reader of Markdown finds them: in lists and quotations as well.
func snippets(t *testing.T) (all []snippet) {
	t.Helper()
	for page, source := range pages(t) {
		all = append(all, snippetsOf(page, []byte(source))...)
	}
	slices.SortFunc(all, func(a, b snippet) int {
		if by := strings.Compare(a.page, b.page); by != 0 {
			return by
		}
		return a.line - b.line
	})
	return all
}

func snippetsOf(page string, source []byte) (found []snippet) {
	document := goldmark.DefaultParser().Parse(text.NewReader(source))
	_ = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // it fails only where the visitor does
		if !entering || n.Kind() != ast.KindFencedCodeBlock && n.Kind() != ast.KindCodeBlock {
			return ast.WalkContinue, nil
		}
		s := snippet{page: page, text: string(n.Lines().Value(source))}
		if n.Lines().Len() > 0 {
			s.line = bytes.Count(source[:n.Lines().At(0).Start], []byte("\n")) + 1
		}
		if fenced, ok := n.(*ast.FencedCodeBlock); ok {
			s.language = string(fenced.Language(source))
		}
		found = append(found, s)
		return ast.WalkContinue, nil
	})
	return found
}

// reader is a test that runs, loads or makes snippets.
type reader struct {
	page     string // a page, a folder that ends in /, or "" for every page
	language string
	begins   string // how the snippet begins
	test     string
}

// readers are who reads which snippets; the first that fits is the one. Those
// for every page read all that there are. One for a single page says how its
// snippet begins, for that test reads no other.
var readers = []reader{
	// Written by the test, or held to what is made.
	{"docs/messages.md", "", "", "TestMessagesPageIsCurrent"},
	{"docs/configuration.md", "yaml", "# yaml-language-server: ", "TestConfigurationsInDocsLoad"},
	{"docs/cli.md", "text", "$ postflight status\n", "TestCLIPageShowsStatus"},
	{"docs/cli.md", "text", "$ postflight explain ", "TestCLIPageExplains"},
	{"docs/cli.md", "text", "$ postflight wait ", "TestCLIPageWaits"},
	{"docs/cli.md", "yaml", "# client.yml\n", "TestCLIPageClientConfigurationLoads"},
	{"docs/cli.md", "console", "", "TestCLIPageCommandsRun"},
	{"docs/judging.md", "text", "errors ", "TestQuotedFindingsAreTheJudges"},
	{"docs/start.md", "text", "policy shop, as of checkout in production:\n", "TestInitFindsWhatThereIs"},
	{"docs/backtest.md", "text", "", "TestBacktest"},
	{"docs/pipelines.md", "text", "POST /rollback\n", "TestRollbackRequestInDocs"},
	{"docs/gate.md", "sh", "postflight gate ", "TestGateInAPipelinesShell"},
	{"docs/gate.md", "console", "", "TestGatePage"},
	{"docs/gate.md", "text", "", "TestGatePage"},
	{"docs/pipelines.md", "go", "package main\n", "TestReceiverInDocsVerifies"},
	{"docs/integrations/receivers.md", "text", "ntfy://", "TestShoutrrrAddressInDocs"},
	// Other systems' files.
	{"docs/integrations/alertmanager.md", "yaml", "# alertmanager.yaml\n", "TestAlertmanagerPage"},
	{"docs/integrations/alertmanager.md", "text", "alerts start nothing by themselves", "TestAlertmanagerPage"},
	{"docs/integrations/argocd.md", "yaml", "# argocd-notifications-cm.yaml\n", "TestArgoCDPage"},
	{"docs/integrations/argocd.md", "sh", "kubectl -n argocd annotate ", "TestArgoCDSubscription"},
	{"docs/integrations/cdevents.md", "sh", "curl ", "TestCDEventsPage"},
	{"docs/integrations/curl.md", "sh", "curl ", "TestCurlPage"},
	{"docs/integrations/flux.md", "yaml", "# postflight-alert.yaml\n", "TestFluxPage"},
	{"docs/integrations/github.md", "yaml", "# deploy.yaml\n", "TestAction"},
	{"docs/integrations/gitlab.md", "yaml", "# .gitlab-ci.yml\n", "TestGitLabJob"},
	{"docs/integrations/jenkins.md", "groovy", "pipeline {\n", "TestJenkinsfile"},
	{"docs/integrations/kubernetes.md", "yaml", "# checkout-deployment.yaml\n", "TestKubernetesPage"},
	{"docs/integrations/kubernetes.md", "yaml", "# announce-job.yaml\n", "TestKubernetesPage"},
	{"docs/integrations/spinnaker.md", "yaml", "# echo-local.yml\n", "TestSpinnakerPage"},
	{"docs/integrations/tekton.md", "yaml", "# verify-task.yaml\n", "TestTektonTask"},
	{"docs/integrations/tickets.md", "sh", "curl ", "TestTicketsPagePush"},
	{"docs/integrations/tickets.md", "console", "$ postflight feed test zendesk ", "TestTicketsPageTries"},
	{"docs/integrations/tickets.md", "console", "$ postflight feed test desk ", "TestTicketsPagePush"},
	{"docs/integrations/README.md", "dockerfile", "FROM alpine:", "TestShellImage"},
	{"docs/deploy/README.md", "yaml", "# kustomization.yaml\n", "TestKustomizationInDocs"},
	{"docs/operating.md", "yaml", "# prometheus.yml\n", "TestPrometheusConfigurationInDocs"},
	// Commands that need more than a daemon beside them.
	{"README.md", "console", "make demo ", "TestMakeTargetsInDocs"},
	{"docs/start.md", "console", "./postflight init ", "TestInitFindsWhatThereIs"},
	{"docs/backtest.md", "console", "./postflight backtest ", "TestBacktest"},
	{"docs/operating.md", "console", "# back up SQLite, ", "TestBackupsAreRestored"},
	{"docs/operating.md", "console", "# restore SQLite\n", "TestBackupsAreRestored"},
	{"docs/operating.md", "console", "# back up PostgreSQL, ", "TestBackupsAreRestored"},
	{"docs/operating.md", "console", "# restore PostgreSQL, ", "TestBackupsAreRestored"},
	{"docs/gate.md", "sh", "postflight gate ", "TestGateInAPipelinesShell"},
	{"docs/gate.md", "console", "", "TestGatePage"},
	{"docs/gate.md", "text", "checkout 1.42.0 in production: ", "TestGatePage"},
	// Everything else of these kinds.
	{"", "yaml", "# postflight.yml\n", "TestConfigurationsInDocsLoad"},
	{"docs/integrations/tickets.md", "yaml", feedSnippet, "TestConfigurationsInDocsLoad"},
	{"", "json", "", "TestNotificationsInDocsAreTaken"},
	{"", "console", "", played},
}

// played is the test that runs commands where no other test does.
const played = "TestCommandsInDocsRun"

func (r reader) reads(s snippet) bool {
	there := r.page == "" || r.page == s.page || strings.HasSuffix(r.page, "/") && strings.HasPrefix(s.page, r.page)
	return there && (r.language == s.language || r.page == "docs/messages.md") && strings.HasPrefix(s.text, r.begins)
}

// readerOf returns the test that reads a snippet, "" where none does.
func readerOf(s snippet) string {
	for _, r := range readers {
		if r.reads(s) {
			return r.test
		}
	}
	return ""
}

// declaredTests returns the names of all tests of the repository.
func declaredTests(t *testing.T) map[string]bool {
	t.Helper()
	declared := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	require.NoError(t, filepath.WalkDir(filepath.Join("..", ".."), func(file string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		source, err := os.ReadFile(file)
		for _, found := range declaration.FindAllSubmatch(source, -1) {
			declared[string(found[1])] = true
		}
		return err
	}))
	return declared
}

// TestEverySnippetIsRead: a snippet that no test runs, loads or makes is not
// believed, and neither is a reader that reads nothing.
func TestEverySnippetIsRead(t *testing.T) {
	declared := declaredTests(t)
	used := map[string]bool{}
	all := snippets(t)
	for _, s := range all {
		where := fmt.Sprintf("%s:%d", s.page, s.line)
		require.NotEmpty(t, s.language, "%s: say the language of the snippet", where)
		test := readerOf(s)
		require.NotEmpty(t, test, "%s: no test reads this snippet: write one, and name it in readers\n%s", where, s.text)
		require.True(t, declared[test], "%s: there is no %s", where, test)
		used[test] = true
	}
	for _, r := range readers {
		require.True(t, used[r.test], "%s reads no snippet: take it out of readers", r.test)
	}
	require.Greater(t, len(all), 100)
}

func TestSnippetsWithoutAReaderAreSeen(t *testing.T) {
	page := "- a list\n\n  ```ruby\n  puts 1\n  ```\n\n> ```yaml\n> # crontab.yml\n> ```\n\n~~~\nnothing said\n~~~\n\n    indented\n\n```console\npostflight list\n```\n"
	found := snippetsOf("docs/new.md", []byte(page))
	require.Len(t, found, 5)
	require.Equal(t, snippet{"docs/new.md", 4, "ruby", "puts 1\n"}, found[0])
	for i, want := range []string{"", "", "", "", played} {
		require.Equal(t, want, readerOf(found[i]), found[i])
	}
	require.Empty(t, found[2].language)
	require.Empty(t, found[3].language)
	require.Empty(t, readerOf(snippet{page: "docs/operating.md", language: "text", text: "x\n"}))
	require.Empty(t, readerOf(snippet{page: "docs/integrations/tickets.md", language: "sh", text: "wget x\n"}))
}
