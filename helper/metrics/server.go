package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ftpvip/helper/admit"
	"ftpvip/helper/live"
)

// Bounds of the service. A scraper sends its request at once and takes the answer at once, and there are few of them.
const (
	maxConns     = 64
	maxInFlight  = 4
	maxHeader    = 8 << 10
	headerWithin = 5 * time.Second
	readWithin   = 10 * time.Second
	writeWithin  = 30 * time.Second
	idleFor      = 2 * time.Minute
)

// Server serves /metrics.
type Server struct {
	http *http.Server
	addr net.Addr
	done chan struct{}
}

// Listen serves the figures on an address, until the server is closed.
func Listen(ctx context.Context, at netip.AddrPort, figures func() live.Figures) (*Server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("serving metrics on %s: %w: choose a free address of this host for helper.metrics, "+
			"or remove it to serve none", at, err)
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(newCollector(figures)); err != nil {
		return nil, errors.Join(fmt.Errorf("registering the metrics: %w", err), l.Close())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxInFlight}))
	s := &Server{
		http: &http.Server{
			Handler: whileBusy(mux), ConnContext: remember, MaxHeaderBytes: maxHeader,
			ReadHeaderTimeout: headerWithin, ReadTimeout: readWithin, WriteTimeout: writeWithin, IdleTimeout: idleFor,
		},
		addr: l.Addr(),
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(admit.Listen(l, maxConns)) // it always ends with an error: that it was closed
	}()
	return s, nil
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

func remember(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// whileBusy keeps a connection from being replaced while its request is answered.
func whileBusy(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*admit.Conn); ok {
			c.Busy(true)
			defer c.Busy(false)
		}
		h.ServeHTTP(w, r)
	})
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.addr }

// Close ends the service.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	return err
}
