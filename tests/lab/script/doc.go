// Package script has an FTP server and an FTP client that say every byte as a test wants it: in pieces, with pauses,
// out of band, or not at all. They record every byte that TCP gave them, and their data connections are real.
package script
