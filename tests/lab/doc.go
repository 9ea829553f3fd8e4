// Package lab builds a small network out of Linux network namespaces, for the end-to-end tests and for the demo:
//
//	client ---- balancer ---- switch ---- backend1..N            two-arm
//
//	client ---- router ------ switch ---- balancer, backend1..N  one-arm
//
// Everything lives in a world of its own: fresh PID, mount and network namespaces that [Enter] re-executes the
// program into. When that process ends, however it ends, the kernel takes every namespace, link, process and
// nftables table in it away. The host's own rules, links and `ip netns` are never touched.
//
// FTP servers for the backends are in package server, FTP clients in package client.
package lab
