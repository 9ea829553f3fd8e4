// Package metrics shows a helper's figures to Prometheus, on an address of its own. There is no global state: the
// registry belongs to the server, and every scrape takes the figures again.
//
//	name                                   type       labels           what
//	ftpvip_build_info                      gauge      version, go      always 1
//	ftpvip_start_time_seconds              gauge                       when the helper started, in Unix time
//	ftpvip_sessions_total                  counter                     control connections seen
//	ftpvip_sessions                        gauge                       control connections now
//	ftpvip_commands_total                  counter    verb             command lines read; rare verbs are "other"
//	ftpvip_rewrites_total                  counter    verb             announcements that were rewritten
//	ftpvip_expectations_total              counter    outcome          created, port_busy, quota, table_full, no_carrier,
//	                                                                   no_connection, failed
//	ftpvip_data_awaited                    gauge                       data connections announced and not yet open
//	ftpvip_data_connections_total          counter    outcome          opened, and failed ones: never_came, no_answer, reset, no_fit
//	ftpvip_refusals_total                  counter    reason           neutralised by policy
//	ftpvip_events_total                    counter    kind             what happened on control connections
//	ftpvip_transfers_total                 counter    mode, direction  finished data connections
//	ftpvip_transfers_uncounted_total       counter    mode, direction  those whose bytes nobody counted
//	ftpvip_transfer_bytes_total            counter    mode, direction  with IP and TCP headers; needs nf_conntrack_acct
//	ftpvip_packets_total                   counter                     control packets handled
//	ftpvip_packets_unread_total            counter    reason           of them, those that no session read
//	ftpvip_packets_throttled_total         counter                     packets dropped because their client used more than its share
//	ftpvip_queue_waiting                   gauge      queue            packets without a verdict
//	ftpvip_queue_packets_total             counter    queue            packets that the kernel handed out
//	ftpvip_queue_dropped_total             counter    queue, reason    full: the queue; socket: the helper's buffer;
//	                                                                   device: it went down
//	ftpvip_conntrack_entries               gauge                       connections in the kernel's table, of the whole host
//	ftpvip_conntrack_limit                 gauge                       how many it takes
//	ftpvip_conntrack_dropped_total         counter                     packets and connections without room in it, or that
//	                                                                   made room
//	ftpvip_verdict_seconds                 histogram                   from a packet's arrival to its verdict
package metrics
