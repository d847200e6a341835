package api

import (
	"errors"
	"net/http"
	"path"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"weir/internal/ban"
)

// Config is what the API is made from.
type Config struct {
	Store    *ban.Store          // decisions and breakers
	Gatherer prometheus.Gatherer // what /metrics shows

	// Listen is the address that the API is served on, "host:port"; Token is the
	// bearer token that /api/ asks for, empty: none. CheckListen says which go
	// together.
	Listen string
	Token  string

	Writers Writers // of IP sets; nil: there are none to show

	Alive func() error    // what is wedged for good and needs a restart; nil: nothing is
	Ready func() []string // every reason why the service is not ready; nil: it always is

	Logger *zap.Logger // nil: silent
}

type server struct {
	Config
	log *zap.Logger
}

// New returns the handler of everything. Its error is that of CheckListen.
func New(cfg Config) (http.Handler, error) {
	if cfg.Store == nil || cfg.Gatherer == nil {
		return nil, errors.New("api without decisions or metrics to show")
	}
	if err := CheckListen(cfg.Listen, cfg.Token); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	s := &server{Config: cfg, log: cfg.Logger}
	h := s.routes()
	if cfg.Token == "" {
		h = loopbackOnly(h)
	}
	return secure(h), nil
}

// routes lists what is served. Everything below /api/ is guarded there, so that
// no route can be added without its guard.
func (s *server) routes() http.Handler {
	guarded := http.NewServeMux()
	guarded.Handle("/api/v1/decisions", methods{
		http.MethodGet:    s.listDecisions,
		http.MethodPost:   s.deciding(s.addDecision),
		http.MethodDelete: s.deciding(s.removeClient),
	})
	guarded.Handle("/api/v1/decisions/{id}", methods{
		http.MethodGet:    s.getDecision,
		http.MethodDelete: s.deciding(s.removeDecision),
	})
	guarded.Handle("/api/v1/flush", methods{http.MethodPost: s.deciding(s.flush)})
	guarded.Handle("/api/v1/breakers", methods{http.MethodGet: s.listBreakers})
	guarded.Handle("/api/v1/release", methods{http.MethodPost: s.deciding(s.release)})
	guarded.Handle("/api/v1/allowlist", methods{
		http.MethodGet:    s.listAllowlist,
		http.MethodPost:   s.deciding(s.allow),
		http.MethodDelete: s.deciding(s.disallow),
	})
	guarded.Handle("/api/v1/alerts", methods{http.MethodGet: s.listAlerts})
	guarded.Handle("/api/v1/alerts/{id}", methods{http.MethodGet: s.getAlert})
	guarded.Handle("/api/v1/audit", methods{http.MethodGet: s.listAudit, http.MethodPost: s.deciding(s.note)})
	if s.Writers != nil {
		guarded.Handle("/api/v1/targets", methods{http.MethodGet: s.listTargets})
		guarded.Handle("/api/v1/diff", methods{http.MethodGet: s.listDiffs})
		guarded.Handle("/api/v1/reconcile", methods{http.MethodPost: s.leading(s.reconcile)})
	}
	guarded.HandleFunc("/", notFound)

	open := http.NewServeMux()
	// Counting bans takes a while when there are many, and nobody has to log in
	// to ask: more than a few scrapers at once are turned away.
	metrics := promhttp.HandlerFor(s.Gatherer, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	open.Handle("/metrics", methods{http.MethodGet: metrics.ServeHTTP})
	open.Handle("/healthz", methods{http.MethodGet: s.healthz})
	open.Handle("/readyz", methods{http.MethodGet: s.readyz})
	open.Handle("/api/", sameOrigin(authorized(s.Token, acting(guarded))))
	open.HandleFunc("/api", notFound) // or it would be redirected to /api/, in HTML
	open.HandleFunc("/", notFound)
	return tidyPaths(open)
}

// tidyPaths keeps ServeMux from answering paths like /a//b with a redirect in
// HTML.
func tidyPaths(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tidy := path.Clean(r.URL.Path); r.URL.Path != tidy && r.URL.Path != tidy+"/" {
			notFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// methods serves one path: HEAD as GET, and other methods than it has with 405.
type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	h, ok := m[method]
	if !ok {
		w.Header().Set("Allow", m.allow())
		writeError(w, http.StatusMethodNotAllowed, "method", r.Method+" does nothing here: this path takes "+m.allow())
		return
	}
	h(w, r)
}
