module ftpvip/tests/refusals/goftp

go 1.26.8

require goftp.io/server/v2 v2.0.3
