package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// minToken is how long a token must be at least, in bytes: guesses are not
// limited, so there must be too many of them.
const minToken = 16

// CheckListen says whether the API may be served on listen ("host:port") with
// this token (empty: none): without one only on loopback addresses.
func CheckListen(listen, token string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("listen address %q: %w: write host:port, like 127.0.0.1:9090", listen, err)
	}
	if token == "" && !isLoopback(host) {
		return fmt.Errorf("listen address %q can be reached from other hosts, and there is no token: set one, or listen on 127.0.0.1", listen)
	}
	return checkToken(token)
}

// checkToken does not show the token in its errors.
func checkToken(token string) error {
	if token != "" && len(token) < minToken {
		return fmt.Errorf("token of %d bytes: it must have at least %d", len(token), minToken)
	}
	for _, c := range []byte(token) {
		if c <= ' ' || c > '~' {
			return errors.New("token with a space, a control character or a letter beyond ASCII: a header cannot carry it")
		}
	}
	return nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// loopbackOnly answers only requests that name a loopback host. A page whose
// name has been made to resolve to 127.0.0.1 is of its own origin in the eyes of
// a browser, but it cannot change the Host header.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopback(hostOf(r)) {
			writeError(w, http.StatusForbidden, "host", "without a token this is served to loopback hosts only: ask 127.0.0.1 or localhost, or set a token")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostOf returns the host that r names, without its port; what is not a host and
// a port, as it is.
func hostOf(r *http.Request) string {
	if host, port, err := net.SplitHostPort(r.Host); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err == nil {
			return host
		}
	}
	return strings.Trim(r.Host, "[]")
}

// authorized asks for the token, if there is one. Hashing makes both sides
// equally long, so that the comparison tells nothing about the token.
func authorized(token string, next http.Handler) http.Handler {
	if token == "" {
		return next
	}
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(given))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			writeError(w, http.StatusUnauthorized, "token", "a token is needed: send the header Authorization: Bearer <token>")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sameOrigin refuses changes that a browser asks for on behalf of another page.
func sameOrigin(next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusForbidden, "origin", "a page of another origin may not change anything here")
	}))
	return p.Handler(next)
}

// secure sets the headers that every answer has.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}
