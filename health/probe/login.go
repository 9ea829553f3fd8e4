package probe

import (
	"context"

	"ftpvip/health/judge"
)

// FTPLogin is the probe of the check "ftp-login": a user can log in, and TYPE and PWD are answered.
func FTPLogin(ctx context.Context, t Target) judge.Result {
	return inSession(ctx, t, func(s *session) error {
		if err := s.login(); err != nil {
			return err
		}
		return s.settle()
	})
}
