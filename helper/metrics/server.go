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

	"ftpvip/helper/live"
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
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	s := &Server{
		http: &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute},
		addr: l.Addr(),
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // it always ends with an error: that it was closed
	}()
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.addr }

// Close ends the service.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	return err
}
