// Command goftp runs goftp.io's server on port 21 for anonymous users, in the folder that it is given.
package main

import (
	"log"
	"os"

	"goftp.io/server/v2"
	"goftp.io/server/v2/driver/file"
)

// anyone lets everybody in.
type anyone struct{}

// CheckPasswd implements server.Auth.
func (anyone) CheckPasswd(*server.Context, string, string) (bool, error) { return true, nil }

func main() {
	driver, err := file.NewDriver(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	s, err := server.NewServer(&server.Options{
		Driver: driver, Auth: anyone{}, Port: 21, Perm: server.NewSimplePerm("nobody", "nogroup"),
		Logger: &server.DiscardLogger{},
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(s.ListenAndServe())
}
