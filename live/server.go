package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"maps"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report"
	"github.com/spanbucket/spanbucketexporter/report/page"
)

// Options say what is served, and to whom.
type Options struct {
	// Path of the file.
	Path string
	// Token that every request must carry; "" asks for none, which is for
	// loopback addresses only: see CheckAddress.
	Token string
	// Query restricts the reports. Its run, categories, width and clock are
	// those of each request.
	Query analysis.Query
	// Refresh is how often a page asks for a new report; at least a second.
	Refresh time.Duration
	// Now decides what has settled; nil: the clock.
	Now func() time.Time
	// OnReady, where set, is called when the file is open and requests are about
	// to be answered.
	OnReady func()
	// Log takes what goes wrong on the side of the server; nil: nothing does.
	Log *log.Logger
}

// Bounds of connections. An answer is in memory before it is on its way, so a
// slow client holds nothing but that.
const (
	headerTime     = 5 * time.Second
	readTime       = 10 * time.Second
	writeTime      = assembleTime + 30*time.Second
	idleTime       = time.Minute
	maxHeaderBytes = 16 << 10
	maxConnections = 256
	shutdownTime   = 5 * time.Second
)

// Serve answers requests on l until ctx ends, and then lets those that are
// being answered finish. It closes l. It returns the error of opening the file
// at the beginning; later on a file that cannot be read is told to viewers, and
// a file that takes its name is served in its place.
func Serve(ctx context.Context, l net.Listener, o Options) (err error) {
	s, err := newServer(ctx, l.Addr(), o)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer func() { err = errors.Join(err, s.reports.file.close()) }()
	hs := &http.Server{
		Handler: s.guard(l.Addr()), ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHeaderBytes, ErrorLog: log.New(discard{}, "", 0),
	}
	if o.OnReady != nil {
		o.OnReady()
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		err := hs.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			err = hs.Close() // who is still reading has had its time
		}
		stopped <- err
	})
	err = hs.Serve(&boundedListener{Listener: l, free: make(chan struct{}, maxConnections)})
	if stop() { // it was not asked to end
		return err
	}
	return <-stopped
}

// discard takes what clients do wrong, of which there is no end.
type discard struct{}

func (discard) Write(text []byte) (int, error) { return len(text), nil }

// server answers the requests that have passed the guard.
type server struct {
	o       Options
	shell   []byte
	reports *reports

	mu sync.Mutex
	// logged is when each error was logged last.
	logged map[string]time.Time
}

func newServer(ctx context.Context, address net.Addr, o Options) (*server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	tcp, ok := address.(*net.TCPAddr)
	if o.Token == "" && (!ok || !tcp.IP.IsLoopback()) {
		return nil, fmt.Errorf("%s: without a token only a loopback address is listened on: %w", address, ErrAddress)
	}
	if err := checkToken(o.Token); err != nil {
		return nil, err
	}
	s := &server{o: o, reports: newReports(o.Path, o.Query, o.Now), logged: map[string]time.Time{}}
	var shell bytes.Buffer
	if err := page.Shell(&shell, report.Title, "report.json", o.Refresh); err != nil {
		return nil, err
	}
	s.shell = shell.Bytes()
	// A file that is not there or not ours is better told now.
	return s, s.reports.file.use(ctx, func(*opened) error { return nil })
}

func (s *server) guard(address net.Addr) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", s.page)
	mux.HandleFunc("/report.json", s.report)
	tcp, ok := address.(*net.TCPAddr)
	g := &guard{loopback: ok && tcp.IP.IsLoopback(), token: s.o.Token, cookie: "spanbucket", next: mux}
	if ok {
		// Cookies are of a host, whatever the port.
		g.cookie += "_" + strconv.Itoa(tcp.Port)
	}
	return g
}

func (s *server) page(w http.ResponseWriter, _ *http.Request) {
	send(w, "text/html; charset=utf-8", s.shell)
}

func send(w http.ResponseWriter, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	// Whether anybody still reads is not ours to know.
	_, _ = w.Write(body)
}

func (s *server) report(w http.ResponseWriter, r *http.Request) {
	of, err := parseRequest(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body, err := s.reports.get(r.Context(), of)
	status, text := http.StatusServiceUnavailable, "the file cannot be read at the moment"
	switch {
	case err == nil:
		send(w, "application/json", body)
		return
	case r.Context().Err() != nil:
		return // nobody waits for it
	case errors.Is(err, errNoPick), errors.Is(err, analysis.ErrQuery):
		http.Error(w, "there are no such spans", http.StatusNotFound)
		return
	case errors.Is(err, fs.ErrNotExist):
		text = "the file is not there"
	}
	s.log(err)
	http.Error(w, text, status)
}

// An error is logged once in logEvery, and maxLogged different ones at most,
// however many viewers meet it, whether others succeed meanwhile or not.
const (
	logEvery  = time.Minute
	maxLogged = 20
)

// log writes an error, unless it did so a moment ago. Viewers do not learn of
// paths.
func (s *server) log(err error) {
	if s.o.Log == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	maps.DeleteFunc(s.logged, func(_ string, at time.Time) bool { return now.Sub(at) >= logEvery })
	if _, known := s.logged[err.Error()]; known || len(s.logged) >= maxLogged {
		return
	}
	s.logged[err.Error()] = now
	s.o.Log.Print(err)
}

var errRequest = errors.New("unknown request")

// parseRequest reads what is asked for. Each name may be there once.
func parseRequest(r *http.Request) (of request, err error) {
	query := r.URL.Query()
	for name, values := range query {
		if len(values) != 1 {
			return of, fmt.Errorf("%w: %.20q is there %d times", errRequest, name, len(values))
		}
		value := values[0]
		switch name {
		case "run":
			of.hasRun, of.run = true, value
		case "category":
			of.category = value
		case "width":
			// The report has charts of every width that suits.
			if n, err := strconv.ParseInt(value, 10, 64); err != nil || n < 0 {
				return of, fmt.Errorf("%w: width %.20q: must be seconds", errRequest, value)
			}
		default:
			return of, fmt.Errorf("%w: %.20q; run, category and width are known", errRequest, name)
		}
	}
	return of, nil
}

// boundedListener accepts so many connections at a time; others wait.
type boundedListener struct {
	net.Listener
	free chan struct{}
}

func (l *boundedListener) Accept() (net.Conn, error) {
	l.free <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &boundedConn{Conn: c, free: sync.OnceFunc(func() { <-l.free })}, nil
}

type boundedConn struct {
	net.Conn
	free func()
}

func (c *boundedConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}
