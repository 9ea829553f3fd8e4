# ftpvip: a farm of FTP servers behind one virtual IP. `make help` says what can be made.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
export CGO_ENABLED := 0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
# The same program wherever the source stands, and whether or not with its history.
BUILDFLAGS := -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'
CACHE   := $(CURDIR)/.cache
TESTBIN := $(CACHE)/tests

PREFIX     ?= /usr
SYSCONFDIR ?= /etc
UNITDIR    ?= $(PREFIX)/lib/systemd/system
ZSHDIR     ?= $(PREFIX)/share/zsh/vendor-completions
DESTDIR    ?=

# What runs natively as root, and again in the stock kernel: packages whose tests touch a kernel.
KERNEL_TESTS := ./rules/bind ./rules/kernel ./rules/kernel/fake ./rules/foreign ./tests/golden ./tests/e2e ./helper/carrier ./cmd/ftpvip

GOLANGCI := v2.15.0
DEADCODE := v0.52.0

.PHONY: help build demo test deps vet checks test-unit test-race test-e2e test-vm test-boot test-all lint graph bench bench-helper bench-hostile bench-rules bench-vm bench-health bench-go refusals fuzz install docs deb deb-check clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the program and the demo, in bin/
	go build $(BUILDFLAGS) -o bin/ ./cmd/ftpvip ./cmd/ftpvip-demo

demo: build ## a lab of network namespaces, files moved through a VIP, the result shown (root)
	bin/ftpvip-demo

# The end-to-end tests wait most of their time, so what only computes goes on beside them, and gives way to them.
test: deps build vet test-unit ## all checks, unit tests, end to end here and in a stock kernel under qemu, the package (root)
	$(MAKE) --jobs 2 --output-sync=target checks test-e2e
	$(MAKE) deb-check test-vm

test-all: test test-boot ## that, and a Debian that boots, is upgraded and purged under qemu (root)

# Servers, clients and the emulator that the tests use. Installs what is missing, on Debian and as root.
deps: ## install what the tests use (root, Debian)
	tests/deps

vet:
	go vet -tags vm ./...

# The packages that need neither the lab's servers nor the emulator.
test-unit: ## tests of packages, without the lab
	go test -json $$(go list ./... | grep -v -e /tests/e2e$$ -e /tests/vm$$) | go run ./tests/summary

checks: ## the linter, the race detector, and each fuzz target for a moment
	nice $(MAKE) lint test-race
	nice tests/fuzz 10s 0

test-race: ## tests of what runs concurrently, with the race detector (a C compiler)
	CGO_ENABLED=1 go test -race ./helper/... ./health/... ./cmd/ftpvip/operate

test-e2e: build ## end to end here: real servers and clients in a lab (root)
	mkdir -p $(TESTBIN)
	go test -c -o $(TESTBIN)/e2e.test ./tests/e2e
	FTPVIP_BIN=$(CURDIR)/bin/ftpvip tests/e2e/each $(TESTBIN)/e2e.test

# The same test binaries, inside Debian's stock kernel.
test-vm: build ## the kernel and end-to-end tests in a stock kernel under qemu
	go test -tags vm -timeout 30m ./tests/vm
	mkdir -p $(TESTBIN)
	for p in $(KERNEL_TESTS); do go test -c -o $(TESTBIN)/$$(basename $$p).test $$p; done
	FTPVIP_BIN=$(CURDIR)/bin/ftpvip tests/vm/kernel-tests $(TESTBIN) $(KERNEL_TESTS)

# Debian 12 with its own systemd: install, enable, break things, upgrade, reboot, purge. Root; the first time it takes
# minutes for debootstrap.
test-boot: ## a Debian with its own systemd under qemu (root)
	rm -rf $(TESTBIN)/boot
	MAKE='$(MAKE)' systemd/package/deb '$(DEB_VERSION)~before' $(TESTBIN)/boot/first >/dev/null
	MAKE='$(MAKE)' systemd/package/deb '$(DEB_VERSION)' $(TESTBIN)/boot/second >/dev/null
	tests/vm/boot/run $(TESTBIN)/boot/first/*.deb $(TESTBIN)/boot/second/*.deb

lint: ## golangci-lint, and functions that nothing calls
	@[ -x $(CACHE)/golangci-lint-$(GOLANGCI) ] || { \
	  GOBIN=$(CACHE) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI); \
	  mv $(CACHE)/golangci-lint $(CACHE)/golangci-lint-$(GOLANGCI); }
	$(CACHE)/golangci-lint-$(GOLANGCI) run ./...
	@[ -x $(CACHE)/deadcode-$(DEADCODE) ] || { \
	  GOBIN=$(CACHE) go install golang.org/x/tools/cmd/deadcode@$(DEADCODE); \
	  mv $(CACHE)/deadcode $(CACHE)/deadcode-$(DEADCODE); }
	dead=$$($(CACHE)/deadcode-$(DEADCODE) -test -tags vm ./...); [ -z "$$dead" ] || { echo "nothing calls:"; echo "$$dead"; exit 1; }

graph: ## which package imports which, as ARCHITECTURE.md has it
	@go run ./tests/graph

# Side by side with peers, in one run: plain DNAT, the kernel's helper, conntrackd (stock kernel only). BENCH holds flags:
# `make bench BENCH=-short` takes about a minute, `make bench-vm BENCH='-short -idle 10000'` measures memory in the VM, too.
BENCH ?=
bench: bench-helper bench-rules bench-health ## speed and memory beside peers (root)

bench-helper: build
	mkdir -p $(TESTBIN)
	go build -o $(TESTBIN)/bench ./tests/bench
	FTPVIP_BIN=$(CURDIR)/bin/ftpvip $(TESTBIN)/bench $(BENCH)

# What well-behaved clients notice of a hostile one that does each of 14 things as fast as it can, beside 10,000 idle sessions.
# BENCH='-short' is for a look; BENCH='-before PROGRAM -idle 7500' has another ftpvip measured in the same run.
bench-hostile: build ## what others notice of a hostile client (root)
	mkdir -p $(TESTBIN)
	go build -o $(TESTBIN)/bench ./tests/bench
	FTPVIP_BIN=$(CURDIR)/bin/ftpvip $(TESTBIN)/bench -hostile -limit 30m $(BENCH)

# Commands at 1 to 1000 VIPs beside a bare netlink batch and nftlb; new connections and transfers beside plain DNAT.
bench-rules: build ## commands and packets at many VIPs (root)
	mkdir -p $(TESTBIN)
	go build -o $(TESTBIN)/scale ./tests/bench/scale
	FTPVIP_BIN=$(CURDIR)/bin/ftpvip $(TESTBIN)/scale $(SCALE)

bench-vm: build ## the same in a stock kernel
	mkdir -p $(TESTBIN)
	go build -o $(TESTBIN)/bench ./tests/bench
	go build -o $(TESTBIN)/scale ./tests/bench/scale
	tests/vm/run --cpus 2 --timeout 3000 --env FTPVIP_KERNEL=stock --env FTPVIP_BIN=$(CURDIR)/bin/ftpvip \
	  -- $(TESTBIN)/bench -idle 500 -limit 45m $(BENCH)
	tests/vm/run --cpus 2 --timeout 1800 --env FTPVIP_KERNEL=stock --env FTPVIP_BIN=$(CURDIR)/bin/ftpvip \
	  -- $(TESTBIN)/scale -vips 1,10,100 -rounds 1 -bulk 100000000 -patience 60s $(SCALE)

# A round of checks of 1,000 backends with 300 black holes: seconds, memory, open files.
bench-health: build ## a round of checks of 1,000 backends (root)
	FTPVIP_BIN=$(CURDIR)/bin/ftpvip go test -count=1 -v -run TestThousandBackends ./tests/e2e

# Go's own benchmarks: allocations and nanoseconds of the parts.
bench-go: ## Go's own benchmarks
	go test -run '^$$' -bench . -benchmem ./configs ./rules/... ./helper/... ./health

# What real FTP servers do with a command that is spoilt at equal length; about a quarter of an hour. What is missing is
# fetched, without being installed, or named. REFUSALS holds flags: -raw, -on SERVERS, -run FORMS.
REFUSALS ?=
refusals: deps ## what real servers do with a command that is spoilt
	tests/refusals/servers $(CACHE)/refusals
	mkdir -p $(TESTBIN)
	go build -o $(TESTBIN)/refusals ./tests/refusals
	$(TESTBIN)/refusals -servers $(CACHE)/refusals $(REFUSALS)

# Each fuzz target for FUZZTIME, and the search of helper/ftp over SEARCH dialogues.
FUZZTIME ?= 60s
SEARCH ?= 1000000
fuzz: ## each fuzz target, and the long search
	tests/fuzz $(FUZZTIME) $(SEARCH)

# Installs the program, its documents and units; nothing is enabled or started. An existing configuration stays.
SHARE := $(DESTDIR)$(PREFIX)/share
LIB   := $(DESTDIR)$(PREFIX)/lib
install: build docs ## program, documents and units below DESTDIR
	install -D -m 0755 bin/ftpvip $(DESTDIR)$(PREFIX)/sbin/ftpvip
	[ -e $(DESTDIR)$(SYSCONFDIR)/ftpvip/ftpvip.yaml ] || \
	  install -D -m 0640 systemd/package/ftpvip.yaml $(DESTDIR)$(SYSCONFDIR)/ftpvip/ftpvip.yaml
	install -d -m 0755 $(DESTDIR)$(UNITDIR)
	for u in systemd/*.service systemd/*.timer; do \
	  sed 's|/usr/sbin/ftpvip|$(PREFIX)/sbin/ftpvip|' $$u > $(DESTDIR)$(UNITDIR)/$$(basename $$u); \
	  chmod 0644 $(DESTDIR)$(UNITDIR)/$$(basename $$u); \
	done
	for d in sysusers.d tmpfiles.d modules-load.d sysctl.d; do install -D -m 0644 -t $(LIB)/$$d systemd/$$d/*.conf; done
	install -D -m 0644 bin/docs/ftpvip.8 $(SHARE)/man/man8/ftpvip.8
	install -D -m 0644 bin/docs/ftpvip.yaml.5 $(SHARE)/man/man5/ftpvip.yaml.5
	install -D -m 0644 bin/docs/ftpvip.bash $(SHARE)/bash-completion/completions/ftpvip
	install -D -m 0644 bin/docs/_ftpvip $(DESTDIR)$(ZSHDIR)/_ftpvip
	install -D -m 0644 bin/docs/ftpvip.fish $(SHARE)/fish/vendor_completions.d/ftpvip.fish
	install -D -m 0644 -t $(SHARE)/doc/ftpvip README.md CHANGELOG.md SECURITY.md LICENSE
	install -D -m 0644 configs/ftpvip.yaml $(SHARE)/doc/ftpvip/examples/ftpvip.yaml

# Manual pages and shell completions, by a program for this machine, whatever the other is built for.
docs: ## manual pages and completions, in bin/docs
	rm -rf bin/docs
	GOOS= GOARCH= go run $(BUILDFLAGS) ./cmd/ftpvip docs bin/docs

# dist/ftpvip_*.deb. DEB_VERSION overrides what the source's history says.
DEB_VERSION ?= $(shell systemd/package/version $(VERSION))
deb: ## the Debian package, in dist/
	MAKE='$(MAKE)' systemd/package/deb $(DEB_VERSION) dist

# The package is clean, and comes out the same out of a copy of the source in another place.
deb-check: deb ## that lintian likes it, and that it comes out the same elsewhere
	lintian --allow-root --fail-on error,warning --tag-display-limit 0 dist/ftpvip_$(DEB_VERSION)_*.deb
	copy=$$(mktemp -d); trap 'rm -rf "$$copy"' EXIT; \
	git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$$copy"; \
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(MAKE) -C "$$copy" --no-print-directory deb \
	  VERSION=$(VERSION) DEB_VERSION=$(DEB_VERSION) >/dev/null; \
	cmp dist/ftpvip_$(DEB_VERSION)_*.deb "$$copy"/dist/*.deb

clean: ## remove what was built
	rm -rf bin dist $(CACHE)
