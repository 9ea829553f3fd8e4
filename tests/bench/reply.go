package main

import (
	"net/netip"
	"strconv"

	"ftpvip/helper/ftp"
)

// replyCode returns the code of a one-line reply, or 0.
func replyCode(line []byte) int {
	code, more, ok := ftp.ReplyLine(line)
	if !ok || more {
		return 0
	}
	return code
}

// appendPassive appends the reply that names a data port (RFC 959 4.1.2, PASV).
func appendPassive(b []byte, at netip.AddrPort) []byte {
	b = append(b, "227 Entering Passive Mode ("...)
	for _, octet := range at.Addr().As4() {
		b = append(strconv.AppendUint(b, uint64(octet), 10), ',')
	}
	b = append(strconv.AppendUint(b, uint64(at.Port()>>8), 10), ',')
	b = strconv.AppendUint(b, uint64(at.Port()&0xff), 10)
	return append(b, ").\r\n"...)
}
