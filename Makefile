# Tessera. `make demo` renders the default picture; `make test` runs lint, unit and command tests and a short fuzz run. Separate:
# test-page, test-deploy, test-torch, test-package, soak and fuzz.

PACKAGES := libdnnl-dev libjpeg-dev liblcms2-dev libopenblas-dev libpng-dev libsqlite3-dev libtiff-dev libwebp-dev libzmq3-dev libsodium-dev
# Test dependencies: network namespaces that act as hosts, a relay between them, a check of the scripts, and an ssh server.
TEST_PACKAGES := iproute2 pyflakes3 python3 $(if $(CI),openssh-server)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
BUILD := swift build -c release
# Not --build-tests: that compiles whatever there is in the packages that we use, among it the 800 C++ files of protoc.
BUILD_TESTS := $(BUILD) --product tesseraPackageTests
BENCHMARKS := Checks Evaluations Packing Pictures Schedules
TESSERA := .build/release/tessera

.PHONY: setup build build-tests install install-files package test-package demo test test-page test-deploy test-torch soak fuzz lint format bench quality clean

## Installs the Debian packages that are missing.
setup:
	@command -v swift >/dev/null || { \
	    echo "Tessera needs a Swift 6.2 toolchain or newer: https://www.swift.org/install"; exit 1; }
	@missing=""; for p in $(PACKAGES) $(MORE_PACKAGES); do \
	    dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'install ok installed' \
	        || missing="$$missing $$p"; \
	done; \
	if [ -n "$$missing" ]; then \
	    echo "installing$$missing"; \
	    $(SUDO) apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq $$missing >/dev/null; \
	fi

build: setup
	$(BUILD) --product tessera

## The program and all tests; then `swift test -c release --skip-build --filter SUITE` runs some of them.
build-tests: setup
	$(BUILD_TESTS)

## Installs the program (which needs no Swift at run time), the default model, the manual page, completions for bash,
## zsh and fish, the documents and the systemd units, under PREFIX.
PREFIX ?= /usr/local
ROOT = $(DESTDIR)$(PREFIX)
INSTALLED ?= .build/static/release/tessera
install: setup
	$(BUILD) --static-swift-stdlib --scratch-path .build/static --product tessera
	$(MAKE) --no-print-directory install-files

## The same for a program that is already built.
install-files:
	install -D -t $(ROOT)/bin $(INSTALLED)
	mkdir -p $(ROOT)/Models && cp -R Models/. $(ROOT)/Models/
	install -d $(ROOT)/share/man/man1 $(ROOT)/share/bash-completion/completions \
	    $(ROOT)/share/zsh/site-functions $(ROOT)/share/fish/vendor_completions.d
	$(INSTALLED) manual >$(ROOT)/share/man/man1/tessera.1 && gzip -9nf $(ROOT)/share/man/man1/tessera.1
	$(INSTALLED) --generate-completion-script bash >$(ROOT)/share/bash-completion/completions/tessera
	$(INSTALLED) --generate-completion-script zsh >$(ROOT)/share/zsh/site-functions/_tessera
	$(INSTALLED) --generate-completion-script fish >$(ROOT)/share/fish/vendor_completions.d/tessera.fish
	install -D -m 644 -t $(ROOT)/share/doc/tessera LICENSE NOTICE $(wildcard docs/*.md docs/*.jpg)
	@# Links lead to what is installed; what is only in the repository keeps its words.
	sed -i -E 's#\(\.\./deploy/#(#g; s#!?\[([^]]*)\]\(\.\./[^)]*\)#\1#g' $(ROOT)/share/doc/tessera/*.md
	install -D -m 644 -t $(ROOT)/share/doc/tessera/systemd deploy/systemd/*
	install -D -m 644 -t $(ROOT)/share/doc/tessera/kubernetes deploy/kubernetes/*
	install -D -m 644 -t $(ROOT)/share/doc/tessera/slurm deploy/slurm/*
	install -D -m 644 -t $(ROOT)/share/doc/tessera/grafana deploy/grafana/*

## A .deb and a tarball for machines without Swift, in .build/packages.
package: MORE_PACKAGES := dpkg-dev
package: setup
	$(BUILD) --static-swift-stdlib --scratch-path .build/static --product tessera
	Scripts/package.sh .build/static/release/tessera .build/packages

## Installs and tests both in a Debian without Swift (as root; docs/deploy.md).
test-package: MORE_PACKAGES := dpkg-dev debootstrap
test-package: package
	Tests/package_trial.sh .build/packages

## Renders the default picture through a coordinator and two worker processes.
demo: build
	$(TESSERA) render --workers 2 --output demo.png \
	    --prompt "the sea at sunset with one sun on the left and a boat on the right" \
	    --size 1024x1024 --steps 25 --seed 5
	@echo "The picture is $(CURDIR)/demo.png"

## The live page of `tessera serve` in a headless Chromium, as a person uses it.
test-page: MORE_PACKAGES := chromium python3
test-page: build
	Tests/page.py $(TESSERA) Tests/Fixtures/sdxl-tiny

## The files of deploy/: units by systemd-analyze, manifests by kubernetes-validate (from PyPI), and the flags that they name.
test-deploy: MORE_PACKAGES := systemd python3-venv
test-deploy: build
	python3 -m venv .build/deploy
	.build/deploy/bin/pip install --quiet kubernetes-validate
	.build/deploy/bin/python Tests/deploy.py $(TESSERA)

test: MORE_PACKAGES := $(TEST_PACKAGES)
test: lint build-tests
	for benchmark in $(BENCHMARKS); do $(BUILD) --product $$benchmark || exit; done
	swift test -c release --skip-build --skip TesseraTests
	Tests/commands.sh
	Tests/Fuzz/fuzz.py --crafted --specials --turns 1 --rounds 1000 --seconds 20
	@# Once more with bfloat16, which most processors only emulate.
	TESSERA_EMULATE_BF16=1 swift test -c release --skip-build --filter EngineTests

## The suites that concern the torch backend, on PyTorch from PyPI without its GPU libraries (550 MB; its processor half needs two
## small NVIDIA packages), or on TORCH.
TORCH ?= $(CURDIR)/.build/torch
test-torch: MORE_PACKAGES := python3 python3-pip
test-torch: build-tests $(TORCH)
	TESSERA_TORCH=$(TORCH) swift test -c release --skip-build --filter \
	    'BackendTests|NetworkParityTests|LongPromptTests|TiledEvaluationTests|TorchTests|DeviceMemoryTests|PipelineTests'
	TESSERA_TORCH=$(TORCH) swift test -c release --skip-build --no-parallel --filter TorchCommandTests

$(CURDIR)/.build/torch:
	@echo "installing PyTorch into .build/torch"
	@rm -rf $@.part
	python3 -m pip install --quiet --no-deps --target $@.part \
	    "torch>=2.10" nvidia-cuda-runtime nvidia-cuda-cupti \
	    || { echo "PyTorch could not be fetched from PyPI: the torch backend is not tested"; exit 1; }
	mv $@.part $@

## Renders under FAULTS random faults; every picture must be the same as without them. `make soak FAULTS=1000` takes half an hour
## or more, and goes on where it was interrupted. As root also with disks that are full.
FAULTS ?= 50
soak: MORE_PACKAGES := python3 faketime
soak: build-tests
	TESSERA_SLOW_TESTS=1 swift test -c release --skip-build --filter VerifyRefineTests
	Tests/soak.py --faults $(FAULTS) $(if $(filter-out 50,$(FAULTS)),--state .build/soak-$(FAULTS))

## Damaged files: ROUNDS of them through the program, then SECONDS of libFuzzer on the C readers (docs/fuzzing.md).
SEED ?= 1
ROUNDS ?= 5000
SECONDS ?= 3600
fuzz: MORE_PACKAGES := $(TEST_PACKAGES)
fuzz: build
	Tests/Fuzz/fuzz.py --crafted --specials --rounds $(ROUNDS) --seed $(SEED)
	Tests/Fuzz/targets.sh $(SECONDS) $(SEED)

lint: MORE_PACKAGES := pyflakes3
lint: setup
	swift format lint --strict -r Package.swift Sources Tests Benchmarks
	pyflakes3 Benchmarks Tests Training

## Formats the sources in place.
format:
	swift format -i -r Package.swift Sources Tests Benchmarks

## Runs the benchmarks; prints a table and writes .build/bench.json. `make bench ONLY=name,…` runs some.
bench: build
	Benchmarks/run $(if $(ONLY),--only $(ONLY))

## Renders, measures and remakes docs/quality.md; PYTHON needs Training/requirements.txt. It resumes where it was
## interrupted. `make quality QUALITY="--prompts 8"` measures more.
PYTHON ?= python3
quality: build
	cd Training && $(PYTHON) quality.py --tessera $(CURDIR)/$(TESSERA) --state $(CURDIR)/.build/quality $(QUALITY)

clean:
	rm -rf .build demo.png
