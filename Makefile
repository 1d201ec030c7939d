# `make` lists what can be made. Root is needed where containers run: test, demo, bench.

TARGET_DIR  = $(or $(CARGO_TARGET_DIR),target)
# Asked for at its first use: Rust may be installed by a target (toolchain).
HOST        = $(eval HOST := $(shell rustc -vV | sed -n 's/^host: //p'))$(HOST)
BINARY      = $(TARGET_DIR)/$(TARGET)/release/oci-link
# The courier: its flags are others, so it has a directory of its own, and both stay built.
COURIER_DIR = $(TARGET_DIR)/cluster
COURIER     = $(COURIER_DIR)/$(TARGET)/release/oci-link-cluster

# Static: no loader, no LD_PRELOAD, and half the time from exec to main; a third of that with musl
# (ARCHITECTURE.md). Where rustup cannot get it, glibc serves. Without --target the flags would reach
# proc-macros too, which cannot be static. What a hook calls lies side by side, as `make layout` found
# it, by mangled names that hold the types of generic functions: a container waits for half the page
# faults.
MUSL         = $(HOST:-gnu=-musl)
MUSL_LIB     = $(eval MUSL_LIB := $(shell rustc --print sysroot)/lib/rustlib/$(MUSL)/lib)$(MUSL_LIB)
TARGET       = $(if $(shell test -d $(MUSL_LIB) && echo yes),$(MUSL),$(HOST))
STATIC       = -C target-feature=+crt-static -C relocation-model=static -C symbol-mangling-version=v0
LAYOUT       = packaging/hook.ld
STATIC_FLAGS = $(STATIC) -C link-arg=-Wl,-T,$(LAYOUT)
RELEASE      = --release --target $(TARGET)
# ring compiles C, without a C library.
COURIER_CC   = CC_$(subst -,_,$(TARGET))=$${CC:-cc}

# The oldest Rust that must compile everything, and a machine of another kind that must be compiled for.
OLDEST      := $(shell sed -n 's/^rust-version = "\(.*\)"$$/\1/p' Cargo.toml)
CROSS        = aarch64-unknown-linux-musl
CROSS_LIB    = $(shell rustc --print sysroot)/lib/rustlib/$(CROSS)/lib

# What cargo-fuzz would pass on, and all that it would do here: no toolchain but the usual is needed.
# Our unsafe code is system calls, of which a sanitizer sees nothing.
FUZZ_FLAGS   = --cfg fuzzing -Cpasses=sancov-module \
    $(addprefix -Cllvm-args=-sanitizer-coverage-,level=4 inline-8bit-counters pc-table trace-compares)
FUZZ_DIR     = $(TARGET_DIR)/fuzz
LOOKED_AT    = $(TARGET_DIR)/layout
FUZZ_TARGETS = $(sort $(notdir $(wildcard fuzz/corpus/*)))
SECONDS     ?= 60

# Debian packages: what the demo, the tests and the benchmark run besides ourselves.
DEMO_PACKAGES  := busybox-static iproute2 ipset iptables kmod runc
TEST_PACKAGES  := $(DEMO_PACKAGES) conntrack crun e2fsprogs nftables procps strace
# What engines of users without root need; the Debian of the newest engines has them too, by sid.sh.
ROOTLESS_PACKAGES := catatonit passt rootlesskit slirp4netns uidmap
ENGINE_PACKAGES := $(TEST_PACKAGES) containerd containernetworking-plugins dbus debootstrap docker-compose \
    docker.io netavark podman python3-grpcio sudo systemd util-linux $(ROOTLESS_PACKAGES)
BENCH_PACKAGES := crun debootstrap gcc iproute2 ipset iptables kmod libc6-dev nftables runc util-linux
# The newest engines, a Debian of their own: tests/engines/machine.rs.
SID            := /var/cache/oci-link-test/sid
# A runtime that no Debian has: cargo builds it, once for each version.
YOUKI_VERSION  := 0.7.0
YOUKI          := /var/cache/oci-link-test/youki-$(YOUKI_VERSION)
# Debian 12 has etcd 3.4: cluster/tests/etcd.sh brings that of sid, and leaves this machine as it is.
ETCD           := /var/cache/oci-link-test/etcd-3.5
CLUSTER_PACKAGES := iproute2 iptables openssl util-linux
# The browser that shows the page of `oci-link graph`.
GRAPH_PACKAGES := chromium fonts-dejavu-core
# What another Debian is made with.
FRESH_PACKAGES := debootstrap util-linux

# The last release, whose records and rules this program takes over.
PREVIOUS_COMMIT := dbafa85
PREVIOUS_DIR    = $(TARGET_DIR)/previous-$(PREVIOUS_COMMIT)
PREVIOUS        = $(PREVIOUS_DIR)/target/$(TARGET)/debug/oci-link
# What test-fresh makes there.
FRESH          ?= demo test

# Tests wait for the kernel more than they compute.
THREADS = RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$((3 * $$(nproc)))}

.PHONY: help toolchain build build-program previous test-graph test-upgrade test-fresh graph-deps fresh-deps lintian-deps lint msrv cross docs-check test test-release fuzz test-reuse test-crash test-hazards test-harmless test-engines test-youki test-cluster cluster-deps build-courier coverage demo bench layout plot musl docs rootfs demo-deps test-deps engine-deps engine-packages fuzz-deps bench-deps clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 15

include packaging/install.mk
include packaging/release.mk

toolchain: # Rust and a C compiler; Debian's, where there are none
	@packaging/toolchain.sh $(OLDEST)

build: build-program build-courier ## the release binaries, static

build-program: toolchain musl # oci-link
	RUSTFLAGS="$(STATIC_FLAGS)" cargo build $(RELEASE)
	@! ldd $(BINARY) >/dev/null 2>&1 || { echo "$(BINARY) is not static" >&2; exit 1; }
	@ls -lh $(BINARY)

build-courier: toolchain musl # oci-link-cluster
	$(COURIER_CC) RUSTFLAGS="$(STATIC)" cargo build $(RELEASE) -p oci-link-cluster \
	    --target-dir $(COURIER_DIR)
	@! ldd $(COURIER) >/dev/null 2>&1 || { echo "$(COURIER) is not static" >&2; exit 1; }
	@ls -lh $(COURIER)

lint: toolchain ## format and clippy, warnings are errors
	cargo fmt --all --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy -p oci-link-cluster --all-targets -- -D warnings

msrv: ## the oldest Rust that Cargo.toml allows compiles everything
	@if rustup run $(OLDEST) cargo -V >/dev/null 2>&1 \
	    || rustup toolchain install $(OLDEST) --profile minimal; then \
	    rustup run $(OLDEST) cargo check --locked --all-targets \
	    && rustup run $(OLDEST) cargo check --locked --all-targets -p oci-link-cluster; \
	else echo "msrv: NOT CHECKED: Rust $(OLDEST) is not installed, and rustup cannot install it" >&2; fi

cross: ## the program compiles for aarch64
	@if test -d $(CROSS_LIB) || rustup target add $(CROSS); then \
	    cargo check --target $(CROSS) --locked; \
	else echo "cross: NOT CHECKED: no $(CROSS), and rustup cannot install it" >&2; fi

docs-check: toolchain ## rustdoc, also of private items, warnings are errors
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items --locked
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items --locked -p oci-link-cluster

test: toolchain test-deps rootfs ## all tests, on real containers, and the demo
	$(THREADS) cargo test
	cargo test -p oci-link-cluster
	demo/demo.sh $(TARGET_DIR)/debug/oci-link

test-release: test-deps rootfs build ## the same containers, by the release binary
	$(THREADS) OCI_LINK_TESTED=$(abspath $(BINARY)) cargo test --test it

fuzz: fuzz-deps ## every reader of outside bytes, on bytes that libFuzzer makes up: SECONDS=60 for each
	RUSTFLAGS="$(FUZZ_FLAGS)" cargo build --release --manifest-path fuzz/Cargo.toml \
	    --target $(HOST) --target-dir $(FUZZ_DIR)
	@mkdir -p $(addprefix $(FUZZ_DIR)/found/,$(FUZZ_TARGETS))
	@printf '%s\n' $(FUZZ_TARGETS) | xargs -P "$$(nproc)" -I @ sh -c \
	    '$(FUZZ_DIR)/$(HOST)/release/@ -max_total_time=$(SECONDS) -timeout=5 -max_len=4096 \
	        -artifact_prefix=$(FUZZ_DIR)/@- $(FUZZ_DIR)/found/@ fuzz/corpus/@ \
	        >$(FUZZ_DIR)/@.log 2>&1 && echo "@: $$(grep DONE $(FUZZ_DIR)/@.log)" \
	        || { tail -n 40 $(FUZZ_DIR)/@.log; exit 255; }'

test-reuse: test-deps rootfs ## five hundred times, a killed container's address goes to another
	cargo test --test it reuse -- --ignored

test-crash: test-deps ## hooks killed and refused at every system call, crowds, readers; an hour or two
	cargo test --test crash -- --ignored --nocapture --test-threads=1

test-hazards: test-deps rootfs ## the table of hazards in docs/security.md, and what comes of each
	$(THREADS) tests/hazards.sh

test-harmless: test-deps rootfs ## unlinked containers on broken hosts, with oci-link and without: ten minutes
	$(THREADS) cargo test --test harmless -- --include-ignored --nocapture --skip agrees_with_itself

test-engines: engine-deps ## links under real docker, podman and containerd, each on a machine of its own
	cargo test --test engines -- --ignored --test-threads=2 --skip packages

test-youki: test-deps rootfs ## selected tests with youki, which cargo builds first
	@if tests/youki.sh $(YOUKI_VERSION) $(YOUKI); then \
	    $(THREADS) OCI_LINK_YOUKI=$(YOUKI)/bin cargo test --test it youki -- --ignored; \
	else echo "youki: NOT TESTED: cargo cannot build youki $(YOUKI_VERSION) here" >&2; fi

test-cluster: cluster-deps ## the courier with a real etcd: members and links fail, clones, revoked roles, 10,000 records
	cluster/tests/etcd.sh $(ETCD)
	OCI_LINK_ETCD=$(ETCD)/bin cargo test -p oci-link-cluster --test cluster -- --ignored --test-threads=3

test-graph: toolchain graph-deps ## the page of `oci-link graph` in Chromium: search, filters, details, keyboard, 500 containers
	cargo test --test graph -- --ignored

test-upgrade: toolchain test-deps rootfs previous ## links that version 0.1 made go on with this program
	$(THREADS) OCI_LINK_PREVIOUS=$(abspath $(PREVIOUS)) cargo test --test it upgrade -- --ignored

test-fresh: fresh-deps ## `make demo` and `make test` on a Debian 13 without anything; Debian 12 says what it lacks
	tests/fresh.sh $(FRESH)

coverage: ## the share of lifecycle and recovery that unit tests run; fails below 80 %
	@tests/coverage.sh

demo: toolchain demo-deps build-program ## two linked containers, step by step
	@demo/demo.sh $(BINARY)

bench: bench-deps build ## what a link costs; docs/performance.md says how to read it
	cargo bench --bench hook -- $(abspath $(BINARY)) $(BENCH_OPTIONS)

layout: bench-deps musl ## look again which functions a hook calls, for packaging/hook.ld
	CARGO_PROFILE_RELEASE_STRIP=false RUSTFLAGS="$(STATIC)" cargo build $(RELEASE) --target-dir $(LOOKED_AT)
	cargo bench --bench hook -- $(abspath $(LOOKED_AT)/$(TARGET)/release/oci-link) \
	    --record=$(abspath $(LOOKED_AT)/places)
	packaging/layout.sh $(LOOKED_AT)/$(TARGET)/release/oci-link $(LOOKED_AT)/places \
	    $(MUSL_LIB)/self-contained/libc.a >$(LOOKED_AT)/hook.ld
	cp $(LOOKED_AT)/hook.ld $(LAYOUT)
	touch src/main.rs # cargo does not know what the linker reads

musl: # what Rust has for it; its C library comes with it
	@test -d $(MUSL_LIB) || rustup target add $(MUSL) 2>/dev/null || echo "no $(MUSL): built with glibc" >&2

plot: ## keep the plot of the last bench, for docs/performance.md
	cp $(TARGET_DIR)/bench.svg docs/performance.svg

docs: ## manual pages and completions, into target/
	cargo run -q -- man $(TARGET_DIR)/man
	mkdir -p $(TARGET_DIR)/completions
	for shell in bash zsh fish; do \
	    cargo run -q -- completions $$shell > $(TARGET_DIR)/completions/oci-link.$$shell || exit; done

rootfs: ## root filesystems for test-bundles
	test-bundles/rootfs.sh

demo-deps: ## install what the demo needs
	$(call install,$(DEMO_PACKAGES))

test-deps: ## install what the tests need
	$(call install,$(TEST_PACKAGES))

engine-deps: ## install what the engine tests need; no daemon is started by it
	@tests/engines/rigs/quietly.sh $(MAKE) --no-print-directory engine-packages

engine-packages:
	$(call install,$(ENGINE_PACKAGES))

cluster-deps: ## install what the tests of the courier need besides etcd
	$(call install,$(CLUSTER_PACKAGES))

graph-deps: ## install the browser for test-graph
	$(call install,$(GRAPH_PACKAGES))

lintian-deps: ## install what judges packages
	$(call install,lintian)

fresh-deps: ## install what makes another Debian
	$(call install,$(FRESH_PACKAGES))

previous: toolchain musl # the program of the last release, for test-upgrade
	@[ -x $(PREVIOUS) ] || { rm -rf $(PREVIOUS_DIR)/source && mkdir -p $(PREVIOUS_DIR)/source && \
	    git archive $(PREVIOUS_COMMIT) | tar -x -C $(PREVIOUS_DIR)/source && \
	    RUSTFLAGS="$(STATIC)" cargo build --locked --target $(TARGET) --target-dir $(PREVIOUS_DIR)/target \
	    --manifest-path $(PREVIOUS_DIR)/source/Cargo.toml; }

fuzz-deps: ## install what libFuzzer is built with
	$(call install,g++)

bench-deps: ## install what the benchmark needs
	$(call install,$(BENCH_PACKAGES))
	tests/engines/rigs/sid.sh $(SID) || echo "no $(SID): docker is left out" >&2

clean: ## remove what was built
	cargo clean
	rm -rf test-bundles/*/rootfs

# Installs the Debian packages that are missing. As another user than root, it prints them.
define install
@missing=; for package in $(1); do \
    dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed \
        || missing="$$missing $$package"; \
done; \
[ -n "$$missing" ] || exit 0; \
[ "$$(id -u)" = 0 ] || { echo "not installed, as root: apt-get install$$missing" >&2; exit 1; }; \
apt-get -q update && DEBIAN_FRONTEND=noninteractive \
    apt-get -qy install --no-install-recommends $$missing
endef
