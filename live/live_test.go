package live_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/live"
	"github.com/spanbucket/spanbucketexporter/report/page"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// settled is a time at which all traffic of the tests has settled.
var settled = filetest.Begin.Add(2 * time.Hour)

const token = "0123456789abcdef"

// seen is what the tests look at in a report.
type seen struct {
	Runs []struct {
		RunID    string `json:"run_id"`
		Requests int64  `json:"requests"`
		Picked   bool   `json:"picked"`
	} `json:"runs"`
	Categories []struct {
		Category string `json:"category"`
		Requests int64  `json:"requests_total"`
	} `json:"categories"`
	Picks []struct {
		RunID      *string  `json:"run_id"`
		Categories []string `json:"categories"`
		Totals     struct {
			Requests int64 `json:"requests_total"`
		} `json:"totals"`
		Charts []struct {
			WidthS   int64              `json:"width_s"`
			Outcomes map[string][]int64 `json:"outcomes"`
		} `json:"charts"`
	} `json:"picks"`
}

// serve serves a file until the test ends, and returns its address.
func serve(t *testing.T, o live.Options) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	if o.Now == nil {
		began := time.Now()
		o.Now = func() time.Time { return settled.Add(time.Since(began)) }
	}
	go func() { ended <- live.Serve(ctx, l, o) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	return l.Addr().String()
}

func makeFile(t *testing.T, spans int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	filetest.Write(t, filetest.Options(path, settled), filetest.Traffic(spans))
	return path
}

// get asks for an address as change says; redirects are not followed.
func get(t *testing.T, address, path string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	require.NoError(t, err)
	if change != nil {
		change(r)
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(r)
	require.NoError(t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, errors.Join(err, answer.Body.Close()))
	return answer, string(body)
}

// picked asks for a report.
func picked(t *testing.T, address, query string) *seen {
	t.Helper()
	answer, body := get(t, address, "/report.json"+query, nil)
	require.Equal(t, http.StatusOK, answer.StatusCode, body)
	require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
	var r seen
	require.NoError(t, json.Unmarshal([]byte(body), &r))
	return &r
}

func TestPageIsServedWithItsPolicy(t *testing.T) {
	address := serve(t, live.Options{Path: makeFile(t, 100)})
	answer, body := get(t, address, "/", nil)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, "text/html; charset=utf-8", answer.Header.Get("Content-Type"))
	require.Contains(t, body, `data-source="report.json"`)
	require.Equal(t, page.Policy(true)+"; frame-ancestors 'none'", answer.Header.Get("Content-Security-Policy"))
	require.Equal(t, "nosniff", answer.Header.Get("X-Content-Type-Options"))
	require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
	head, body := get(t, address, "/", func(r *http.Request) { r.Method = http.MethodHead })
	require.Equal(t, http.StatusOK, head.StatusCode)
	require.Empty(t, body)
}

func TestReportsByRunCategoryAndWidth(t *testing.T) {
	address := serve(t, live.Options{Path: makeFile(t, 3_000)})
	all := picked(t, address, "")
	require.Len(t, all.Picks, 1)
	require.Nil(t, all.Picks[0].RunID)
	require.Len(t, all.Runs, 3)
	sum := int64(0)
	for _, run := range all.Runs {
		require.True(t, run.Picked)
		one := picked(t, address, "?"+url.Values{"run": {run.RunID}}.Encode())
		require.Equal(t, run.RunID, *one.Picks[0].RunID)
		require.Equal(t, run.Requests, one.Picks[0].Totals.Requests)
		sum += one.Picks[0].Totals.Requests
		require.Equal(t, all.Runs, one.Runs)
	}
	require.Equal(t, all.Picks[0].Totals.Requests, sum)
	for _, category := range all.Categories {
		one := picked(t, address, "?category="+category.Category)
		require.Equal(t, []string{category.Category}, one.Picks[0].Categories)
		require.Equal(t, category.Requests, one.Picks[0].Totals.Requests)
	}
	for _, width := range []string{"", "?width=1", "?width=10", "?width=7"} {
		require.Len(t, picked(t, address, width).Picks[0].Charts, 2, "those of every width that suits")
	}
	for query, status := range map[string]int{
		"?run=nobody": 404, "?category=agent": 404, "?category=nothing": 404, "?width=-1": 400, "?width=x": 400,
		"?run=a&run=b": 400, "?drop=table": 400, "?category=%00%1b[31m": 404,
	} {
		answer, body := get(t, address, "/report.json"+query, nil)
		require.Equal(t, status, answer.StatusCode, query)
		require.NotContains(t, body, "\x1b")
	}
	answer, _ := get(t, address, "/etc/passwd", nil)
	require.Equal(t, http.StatusNotFound, answer.StatusCode)
	answer, _ = get(t, address, "/../spanbucket.db", nil)
	require.NotEqual(t, http.StatusOK, answer.StatusCode)
}

func TestForeignHostsAndMethodsAreRefused(t *testing.T) {
	address := serve(t, live.Options{Path: makeFile(t, 100)})
	for host, status := range map[string]int{
		"": 200, "localhost": 200, "LOCALHOST:9": 200, "127.0.0.1": 200, "127.9.9.9:80": 200, "[::1]:80": 200, "[::1]": 200,
		"evil.example": 421, "evil.example:8470": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421,
		"10.0.0.1": 421, "0.0.0.0": 421, "[::]": 421, "localhost:80:80": 421,
	} {
		for _, path := range []string{"/", "/report.json"} {
			answer, body := get(t, address, path, func(r *http.Request) { r.Host = host })
			require.Equal(t, status, answer.StatusCode, host)
			if status != 200 {
				require.NotContains(t, body, "schema_version")
			}
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY"} {
		answer, _ := get(t, address, "/report.json", func(r *http.Request) { r.Method = method })
		require.Equal(t, http.StatusMethodNotAllowed, answer.StatusCode, method)
		require.Equal(t, "GET, HEAD", answer.Header.Get("Allow"))
	}
}

func TestToken(t *testing.T) {
	address := serve(t, live.Options{Path: makeFile(t, 100), Token: token})
	bearer := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", value) }
	}
	for name, c := range map[string]struct {
		path   string
		change func(*http.Request)
		status int
	}{
		"none":             {"/", nil, 401},
		"none, for data":   {"/report.json", nil, 401},
		"right":            {"/report.json", bearer("Bearer " + token), 200},
		"wrong":            {"/report.json", bearer("Bearer " + token + "x"), 401},
		"shorter":          {"/report.json", bearer("Bearer " + token[1:]), 401},
		"empty":            {"/report.json", bearer("Bearer "), 401},
		"basic":            {"/report.json", bearer("Basic " + token), 401},
		"token as cookie":  {"/report.json", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "spanbucket_" + port(address), Value: token}) }, 401},
		"wrong in address": {"/?token=nonsense", nil, 401},
		"empty in address": {"/?token=", nil, 401},
		"foreign host":     {"/report.json", func(r *http.Request) { bearer("Bearer " + token)(r); r.Host = "evil.example" }, 421},
		"not found":        {"/nothing", nil, 401},
	} {
		answer, body := get(t, address, c.path, c.change)
		require.Equal(t, c.status, answer.StatusCode, name)
		if c.status == 401 {
			require.Empty(t, answer.Cookies(), name)
			require.NotEmpty(t, answer.Header.Get("WWW-Authenticate"), name)
			require.NotContains(t, body, "schema_version")
		}
	}
}

func port(address string) string { return address[strings.LastIndex(address, ":")+1:] }

func TestTokenInTheAddressBecomesACookie(t *testing.T) {
	address := serve(t, live.Options{Path: makeFile(t, 100), Token: token})
	for path, to := range map[string]string{
		"/?token=" + token: "/", "/?run=a%26b&token=" + token: "/?run=a%26b", "//evil.example/?token=" + token: "/evil.example/",
	} {
		answer, body := get(t, address, path, nil)
		require.Equal(t, http.StatusSeeOther, answer.StatusCode)
		require.Equal(t, to, answer.Header.Get("Location"))
		require.NotContains(t, body, token)
		require.Len(t, answer.Cookies(), 1)
		cookie := answer.Cookies()[0]
		require.True(t, cookie.HttpOnly)
		require.Equal(t, http.SameSiteStrictMode, cookie.SameSite)
		require.NotContains(t, cookie.Value, token)
		admitted, _ := get(t, address, "/report.json", func(r *http.Request) { r.AddCookie(cookie) })
		require.Equal(t, http.StatusOK, admitted.StatusCode)
	}
}

func TestAddresses(t *testing.T) {
	for address, fine := range map[string]struct{ without, with bool }{
		"127.0.0.1:0": {true, true}, "[::1]:8470": {true, true}, "localhost:80": {true, true}, "127.1.2.3:80": {true, true},
		"0.0.0.0:80": {false, true}, ":80": {false, true}, "[::]:80": {false, true}, "192.168.0.1:80": {false, true},
		"example.com:80": {false, true}, "127.0.0.1.example.com:80": {false, true},
		"127.0.0.1": {}, "": {}, "127.0.0.1:http:80": {}, "127.0.0.1:99999": {}, "127.0.0.1:-1": {}, "127.0.0.1:x": {},
	} {
		require.Equal(t, fine.without, live.CheckAddress(address, "") == nil, "%q without a token", address)
		require.Equal(t, fine.with, live.CheckAddress(address, token) == nil, "%q with a token", address)
	}
	for _, bad := range []string{token[1:], "with a space in the middle", "tabs\tand other things", "ümläute und anderes"} {
		require.ErrorIs(t, live.CheckAddress("127.0.0.1:0", bad), live.ErrAddress, bad)
	}
	// What listens is looked at, too.
	l, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	require.ErrorIs(t, live.Serve(t.Context(), l, live.Options{Path: makeFile(t, 1)}), live.ErrAddress)
}

// Spans that arrive are seen without a restart, and while they are written
// every report agrees with itself.
func TestSpansThatArriveAreSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	o := filetest.Options(path, settled)
	filetest.Write(t, o, nil)
	address := serve(t, live.Options{Path: path})
	require.Empty(t, picked(t, address, "").Picks)
	observations := filetest.Traffic(4_000)
	var wg sync.WaitGroup
	written := make(chan struct{})
	wg.Go(func() {
		defer close(written)
		if err := filetest.Make(o, observations); err != nil {
			t.Error(err)
		}
	})
	for last, done := int64(0), false; !done; {
		select {
		case <-written:
			done = true
		default:
		}
		r := picked(t, address, "")
		if len(r.Picks) == 0 {
			continue
		}
		total := r.Picks[0].Totals
		require.GreaterOrEqual(t, total.Requests, last)
		last = total.Requests
		for _, chart := range r.Picks[0].Charts {
			sum := int64(0)
			for _, counts := range chart.Outcomes {
				for _, n := range counts {
					sum += n
				}
			}
			require.Equal(t, total.Requests, sum)
		}
	}
	wg.Wait()
	want := int64(0)
	for i := range observations {
		c := observations[i].Series.Category
		if observations[i].Rejected == aggregator.NotRejected && (c == aggregator.CategoryLLM || c == aggregator.CategoryEmbedding) {
			want++
		}
	}
	// The last of it is shown when the others' answer has had its second.
	deadline := time.Now().Add(20 * time.Second)
	shown := func() int64 {
		if r := picked(t, address, ""); len(r.Picks) > 0 {
			return r.Picks[0].Totals.Requests
		}
		return 0
	}
	for shown() != want {
		require.True(t, time.Now().Before(deadline), "the last spans are never shown")
		time.Sleep(20 * time.Millisecond)
	}
}

func TestFileThatGoesAndComes(t *testing.T) {
	folder := t.TempDir()
	path, other := filepath.Join(folder, "served.db"), filepath.Join(folder, "other.db")
	filetest.Write(t, filetest.Options(path, settled), filetest.Traffic(500))
	filetest.Write(t, filetest.Options(other, settled), filetest.Traffic(900))
	address := serve(t, live.Options{Path: path})
	before := picked(t, address, "").Picks[0].Totals.Requests
	require.NoError(t, os.Rename(path, filepath.Join(folder, "away.db")))
	answer, body := get(t, address, "/report.json", nil)
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.Equal(t, "the file is not there\n", body, "without its path")
	require.NoError(t, os.WriteFile(path, []byte("something else altogether"), 0o600))
	answer, body = get(t, address, "/report.json", nil)
	require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.NotContains(t, body, folder)
	require.NoError(t, os.Rename(other, path))
	require.Greater(t, picked(t, address, "").Picks[0].Totals.Requests, before)
}

func TestServeRefusesWhatIsNoFileOfOurs(t *testing.T) {
	for name, path := range map[string]string{"missing": filepath.Join(t.TempDir(), "none.db"), "folder": t.TempDir()} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		err = live.Serve(t.Context(), l, live.Options{Path: path})
		require.Error(t, err, name)
		_, err = l.Accept()
		require.ErrorIs(t, err, net.ErrClosed, "%s: the listener is closed", name)
	}
	foreign := filepath.Join(t.TempDir(), "foreign.db")
	require.NoError(t, os.WriteFile(foreign, []byte("text"), 0o600))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, live.Serve(t.Context(), l, live.Options{Path: foreign}), storage.ErrForeign)
}

// Clients that say half a word, or do not listen, hold up nobody else, and not
// the end either.
func TestSlowClients(t *testing.T) {
	path := makeFile(t, 1_000)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- live.Serve(ctx, l, live.Options{Path: path, Now: func() time.Time { return settled }})
	}()
	address := l.Addr().String()
	for i := range 50 {
		c, err := net.Dial("tcp", address)
		require.NoError(t, err)
		defer c.Close()
		request := "GET /report.json HTTP/1.1\r\nHost: localhost\r\n"
		if i%2 == 0 {
			request += "\r\n" // and never reads the answer
		}
		_, err = fmt.Fprint(c, request)
		require.NoError(t, err)
	}
	for range 5 {
		require.NotEmpty(t, picked(t, address, "").Picks)
	}
	// Garbage is answered, or hung up on.
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	_, err = fmt.Fprint(c, strings.Repeat("A", 64<<10))
	require.NoError(t, err)
	line, _ := bufio.NewReader(c).ReadString('\n')
	require.NotContains(t, line, "200")
	require.NoError(t, c.Close())
	stop()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
}
