package api

import (
	"net/http"
	"time"

	"go.uber.org/zap"
)

// NewServer returns a server for h whose times keep slow clients from holding
// connections for ever. The caller serves, and shuts down.
func NewServer(h http.Handler, log *zap.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      time.Minute, // a page of 1000 decisions over a thin line
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          zap.NewStdLog(log),
	}
}
