package browsertest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/report/page"
)

// allocator starts the browser that all tests share; each opens tabs of its
// own.
var allocator = sync.OnceValues(func() (context.Context, error) {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return nil, fmt.Errorf("no chromium: tools/need.sh chromium chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("hide-scrollbars", false), chromedp.WSURLReadTimeout(time.Minute))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, _ := chromedp.NewExecAllocator(context.Background(), options...)
	browser, cancel := chromedp.NewContext(ctx)
	stop = func() {
		cancel()
		_ = chromedp.WaitClosed(browser)
	}
	return browser, chromedp.Do(browser, chromedp.Navigate("about:blank"))
})

var stop = func() {}

func TestMain(m *testing.M) {
	code := m.Run()
	stop()
	os.Exit(code)
}

// look is how a page is looked at.
type look struct {
	width, height int
	theme         string // light or dark
}

func (l look) String() string { return fmt.Sprintf("%dx%d-%s", l.width, l.height, l.theme) }

var looks = []look{{360, 800, "light"}, {360, 800, "dark"}, {1600, 1000, "light"}, {1600, 1000, "dark"}}

// tab is a page in a browser, with what it did besides showing itself.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	trouble  []string // what the console says, exceptions, violations of the policy, dialogs
	requests []string // addresses that were asked for
	loads    int
}

func (b *tab) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trouble = append(b.trouble, fmt.Sprintf(format, args...))
}

// open loads an address in a tab of its own.
func open(t *testing.T, l look, address string) *tab {
	t.Helper()
	browser, err := allocator()
	require.NoError(t, err)
	// Of its own: pages remember the theme.
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	ctx, cancelTimeout := context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(cancelTimeout)
	b := &tab{t: t, ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, b.listen))
	call(b, log.Enable, cdp.Empty{})
	call(b, network.Enable, network.EnableParams{})
	call(b, runtime.Enable, cdp.Empty{})
	call(b, cdppage.Enable, cdppage.EnableParams{})
	b.resize(l)
	b.run(chromedp.Navigate(address))
	return b
}

// resize shows the page in another look.
func (b *tab) resize(l look) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: int64(l.width), Height: int64(l.height), DeviceScaleFactor: 1, Mobile: l.width < 700,
	})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: l.theme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// call runs a command of the browser's protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, command, params)
	require.NoError(b.t, err)
	return result
}

func (b *tab) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		var text []string
		for _, a := range e.Args {
			text = append(text, describe(a))
		}
		b.note("console.%s: %s", e.Type, strings.Join(text, " "))
	case *runtime.EventExceptionThrown:
		b.note("exception: %s", e.ExceptionDetails.Text+" "+describe(e.ExceptionDetails.Exception))
	case *log.EventEntryAdded:
		// What the tests themselves do to canvases is no fault of the page.
		if strings.Contains(e.Entry.Text, "willReadFrequently") {
			return
		}
		b.note("log: %s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
	case *cdppage.EventJavascriptDialogOpening:
		b.note("dialog: %s", e.Message)
		go func() {
			_, _ = chromedp.Call(b.ctx, cdppage.HandleJavaScriptDialog, cdppage.HandleJavaScriptDialogParams{})
		}()
	case *cdppage.EventLoadEventFired:
		b.mu.Lock()
		b.loads++
		b.mu.Unlock()
	case *network.EventRequestWillBeSent:
		b.mu.Lock()
		b.requests = append(b.requests, e.Request.URL)
		b.mu.Unlock()
	}
}

func describe(o *runtime.RemoteObject) string {
	if o == nil {
		return ""
	}
	return string(o.Value) + o.Description
}

func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, actions...))
}

// eval runs an expression in the page and returns its value.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, expression)
	return value
}

// wait runs an expression until it is true, on a machine that may be busy.
func (b *tab) wait(expression string) {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(time.Minute), chromedp.WithPollingInterval(20*time.Millisecond)))
	require.NoError(b.t, err, expression)
}

// openNumbers opens the table of numbers of a chart.
func (b *tab) openNumbers(chart string) {
	b.t.Helper()
	b.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.querySelector("#%s details").open = true; undefined`, chart)))
	b.wait(fmt.Sprintf(`document.querySelector("#%s details table") !== null`, chart))
}

// quiet fails the test if the page complained about anything.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(b.t, b.trouble)
}

// file writes a static page and returns its address.
func file(t *testing.T, title string, model []byte) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, page.Write(&b, title, model))
	name := filepath.Join(t.TempDir(), "report.html")
	require.NoError(t, os.WriteFile(name, b.Bytes(), 0o600))
	return "file://" + name
}

// plain is the fixture with harmless names.
func plain(t *testing.T) []byte {
	t.Helper()
	model, err := Fixture(1, func(what string) string { return what })
	require.NoError(t, err)
	return model
}

// serve starts a server of a live page and of what models returns.
func serve(t *testing.T, model http.HandlerFunc, refresh time.Duration) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", page.Policy(true)+"; frame-ancestors 'none'")
		if err := page.Shell(w, "live", "report.json", refresh); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("GET /report.json", model)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + "/"
}
