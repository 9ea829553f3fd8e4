package client

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
)

// protocolLog knows how a tool logs the control connection.
type protocolLog struct {
	command  *regexp.Regexp // a command that it sent, of those that Mode names
	greeting *regexp.Regexp // a greeting that it got
}

func newProtocolLog(sent, got string) *protocolLog {
	return &protocolLog{
		command:  regexp.MustCompile(`(?m)^` + sent + `(PASV|EPSV|PORT|EPRT)\b`),
		greeting: regexp.MustCompile(`(?m)^` + got + `220 `),
	}
}

var (
	curlLog  = newProtocolLog("> ", "< ")
	lftpLog  = newProtocolLog("---> ", "<--- ")
	tnftpLog = newProtocolLog("---> ", "")
)

// check reads what a tool logged. It must have used the job's mode and no other, once for each file and over one
// control connection, and every PASV reply must have named the server.
func (p *protocolLog) check(log string, j Job) error {
	used := map[Mode]int{}
	for _, m := range p.command.FindAllStringSubmatch(log, -1) {
		used[Mode(m[1])]++
	}
	if used[j.Mode] != len(j.Files) || len(used) != 1 {
		return fmt.Errorf("asked for %d times %s, used %v", len(j.Files), j.Mode, used)
	}
	if n := len(p.greeting.FindAllString(log, -1)); n != 1 {
		return fmt.Errorf("used %d control connections", n)
	}
	var named []netip.Addr
	for _, reply := range pasvReply.FindAllString(log, -1) {
		a, err := Parse227(reply)
		if err != nil {
			return err
		}
		named = append(named, a.Addr())
	}
	if i := slices.IndexFunc(named, func(a netip.Addr) bool { return a != j.Server.Addr() }); i >= 0 {
		return fmt.Errorf("a reply to PASV named %s instead of %s", named[i], j.Server.Addr())
	}
	return nil
}
