# Two commands do everything on a Debian 12 machine with Swift 6.3: `make demo` and `make test`.
# Debian packages that are missing are installed when make runs as root; otherwise the apt line is printed.

PREFIX ?= /usr/local
DESTDIR ?=
SWIFT ?= swift
# Functions are inlined across the rooms: without it a call of a few instructions in a lower room stays a call.
RELEASE = -c release --static-swift-stdlib --disable-local-rpath -Xswiftc -cross-module-optimization
BUILD = .build/release
# Whose libcrypto the secure world uses: newest, system, or a file (docs/libcrypto.md).
LIBCRYPTO ?= newest

libdir = $(DESTDIR)$(PREFIX)/lib
libexecdir = $(DESTDIR)$(PREFIX)/libexec/strongroom
bindir = $(DESTDIR)$(PREFIX)/bin
includedir = $(DESTDIR)$(PREFIX)/include/strongroom
# p11-kit reads two folders: its packages' below /usr, and that of whoever runs the machine, where /usr/local belongs.
modulesdir = $(DESTDIR)$(if $(filter /usr/local,$(PREFIX)),/etc/pkcs11/modules,$(PREFIX)/share/p11-kit/modules)
docdir = $(DESTDIR)$(PREFIX)/share/doc/strongroom
unitdir = $(DESTDIR)$(PREFIX)/lib/systemd/system

.PHONY: all help build demo test check soak bench bench-check install uninstall lint format clean dependencies

all: build

help:
	@echo 'make build      release build of the module, the secure world and the tools; LIBCRYPTO=newest|system|FILE'
	@echo 'make demo       protected video becomes pictures; INPUT=file.mp4 KEY=hex for your own'
	@echo 'make test       unit tests, artefact check, C programs, published vectors, real client programs'
	@echo 'make check      the same without the unit tests; ONLY=clients/gnutls runs one part'
	@echo 'make soak       mixed work of eight processes with kills, restarts and forks; MINUTES=20'
	@echo 'make bench      our module, three peers and raw libcrypto in turn: table, JSON and plot; ONLY=, PEERS=, SECONDS='
	@echo 'make bench-check  a short run and instruction counts against the thresholds in the tree'
	@echo 'make install    PREFIX=/usr/local, DESTDIR='
	@echo 'make lint       format and import checks'

build: dependencies-build
	$(SWIFT) build $(RELEASE)
	@packaging/libcrypto "$(LIBCRYPTO)" $(BUILD)/lib

demo: dependencies-demo build
	@conformance/demo/run

test: dependencies-test build
	@conformance/run-tests

check: dependencies-test build
	@conformance/run-tests --no-unit $(ONLY)

soak: dependencies-test build
	@conformance/soak/run --minutes $(or $(MINUTES),20)

bench: dependencies-bench build
	@conformance/bench/run --only "$(ONLY)" --peers "$(PEERS)" $(if $(SECONDS),--seconds $(SECONDS))

bench-check: dependencies-bench build
	@conformance/bench/check

# `make dependencies` installs what every target needs, `make dependencies-GROUP` what one needs.
dependencies: dependencies-test dependencies-bench
dependencies-%:
	@.ci/dependencies $*

install: build
	install -d $(libdir) $(libexecdir) $(bindir) $(includedir) $(modulesdir) $(docdir) $(unitdir)
	install -s -m 755 $(BUILD)/libstrongroom-pkcs11.so $(libdir)/
	install -s -m 755 $(BUILD)/strongroom-tee $(BUILD)/strongroom-peripheral $(libexecdir)/
	rm -rf $(libexecdir)/lib
	if [ -e $(BUILD)/lib/libcrypto.so.3 ]; then \
	  install -D -m 755 $(BUILD)/lib/libcrypto.so.3 $(libexecdir)/lib/libcrypto.so.3; fi
	install -s -m 755 $(BUILD)/strongroom $(bindir)/
	install -m 644 include/pkcs11.h include/strongroom.h $(includedir)/
	install -m 644 README.md CHANGELOG.md docs/*.md $(docdir)/
	printf '# Strongroom, a PKCS#11 token whose keys live in a TEE\nmodule: %s\ncritical: no\n' \
	  $(PREFIX)/lib/libstrongroom-pkcs11.so > $(modulesdir)/strongroom.module
	sed -e 's|@libexecdir@|$(PREFIX)/libexec/strongroom|; s|@docdir@|$(PREFIX)/share/doc/strongroom|' \
	  packaging/strongroom.service > $(unitdir)/strongroom.service

uninstall:
	rm -rf $(libexecdir) $(includedir) $(docdir)
	rm -f $(libdir)/libstrongroom-pkcs11.so $(bindir)/strongroom $(modulesdir)/strongroom.module $(unitdir)/strongroom.service

# An import that Package.swift does not list, a warning of ours and a misformatted line are all errors.
SWIFT_SOURCES = Package.swift Sources Tests conformance/ModuleTests conformance/WorldTests
lint:
	$(SWIFT) format lint --strict --recursive --parallel $(SWIFT_SOURCES)
	$(SWIFT) build --scratch-path .build/lint --build-tests --explicit-target-dependency-import-check error 2>&1 | \
	  tee .build/lint.log
	@if grep -E '(Sources|Tests|conformance)/.*(warning|error):' .build/lint.log; then exit 1; fi

format:
	$(SWIFT) format --in-place --recursive --parallel $(SWIFT_SOURCES)

clean:
	rm -rf .build out
