package live

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"

	"github.com/spanbucket/spanbucketexporter/report/page"
)

// guard stands in front of every answer.
type guard struct {
	loopback bool   // requests must name a loopback host
	token    string // "": none is asked for
	cookie   string // name of the cookie that stands for the token
	next     http.Handler
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range map[string]string{
		"Content-Security-Policy":      page.Policy(true) + "; frame-ancestors 'none'",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "no-referrer",
		"Cache-Control":                "no-store",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cross-Origin-Opener-Policy":   "same-origin",
	} {
		w.Header().Set(name, value)
	}
	switch {
	case g.loopback && !namesLoopback(r.Host):
		http.Error(w, "this host is not served here", http.StatusMisdirectedRequest)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are answered", http.StatusMethodNotAllowed)
	case g.token == "" || g.admits(r):
		g.next.ServeHTTP(w, r)
	case r.URL.Query().Has("token"):
		g.exchange(w, r)
	default:
		g.refuse(w)
	}
}

// admits tells whether a request carries the token, or its cookie.
func (g *guard) admits(r *http.Request) bool {
	if r.URL.Query().Has("token") {
		return false // to be taken out of the address
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && same(bearer, g.token) {
		return true
	}
	cookie, err := r.Cookie(g.cookie)
	return err == nil && same(cookie.Value, cookieOf(g.token))
}

// exchange answers a request with the token in its address by a cookie, and
// leads to the same address without it.
func (g *guard) exchange(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if !same(query.Get("token"), g.token) {
		g.refuse(w)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: g.cookie, Value: cookieOf(g.token), Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	query.Del("token")
	// Only the path of this server: what begins with two slashes would be
	// another.
	to := url.URL{Path: "/" + strings.TrimLeft(r.URL.Path, "/"), RawQuery: query.Encode()}
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}

func (g *guard) refuse(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="spanbucket"`)
	http.Error(w, "a token is needed: Authorization: Bearer TOKEN, or open the page once as /?token=TOKEN", http.StatusUnauthorized)
}

// cookieOf is what the cookie holds, so that the token itself is in no
// browser's files.
func cookieOf(token string) string {
	sum := sha256.Sum256([]byte("spanbucket live page\x00" + token))
	return hex.EncodeToString(sum[:])
}

// same compares two texts in a time that tells nothing of them.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
