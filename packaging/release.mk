# Packages, and what a release has besides.

# Tools of others, built once. CI builds cargo-deny only: the tools for packages take longer than its
# tests.
TOOLS     = $(TARGET_DIR)/tools
COURIER_DENY = $(TOOLS)/bin/cargo-deny --locked --manifest-path cluster/Cargo.toml \
    --config cluster/deny.toml
STAGE     = target/stage
RELEASED  = $(TARGET_DIR)/release-files
# The same sources give the same bytes: no file is younger than the last commit.
EPOCH     = $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
ARCH      = $(firstword $(subst -, ,$(HOST)))
VERSION  := $(shell sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"$$/\1/p' Cargo.toml)
REPEATABLE = SOURCE_DATE_EPOCH=$(EPOCH) TZ=UTC LC_ALL=C
STAGED    = $(MAKE) --no-print-directory install PREFIX=/usr
STAGED_COURIER = $(MAKE) --no-print-directory install-cluster PREFIX=/usr

.PHONY: packages deb rpm tarball lintian package-tools deny-tool release-tools release-check release check-deps deny test-packages

packages: deb rpm tarball ## all of them

deb: package-tools build ## packages for dpkg, of what `make install` and `install-cluster` install
	rm -rf $(STAGE)/deb $(STAGE)/deb-cluster
	$(STAGED_COURIER) DESTDIR=$(STAGE)/deb-cluster >/dev/null
	$(STAGED) DESTDIR=$(STAGE)/deb zshdir=/usr/share/zsh/vendor-completions >/dev/null
	$(call debian,oci-link,deb)
	$(call debian,oci-link-cluster,deb-cluster)
	mkdir -p $(RELEASED) && rm -f $(RELEASED)/*.deb
	$(REPEATABLE) $(TOOLS)/bin/cargo-deb deb --no-build --no-strip -o $(RELEASED)/
	$(REPEATABLE) $(TOOLS)/bin/cargo-deb deb --no-build --no-strip -p oci-link-cluster -o $(RELEASED)/

rpm: package-tools build ## the same for rpm
	rm -rf $(STAGE)/rpm $(STAGE)/rpm-cluster
	$(STAGED_COURIER) DESTDIR=$(STAGE)/rpm-cluster >/dev/null
	$(STAGED) DESTDIR=$(STAGE)/rpm >/dev/null
	mkdir -p $(RELEASED) && rm -f $(RELEASED)/*.rpm
	$(REPEATABLE) $(TOOLS)/bin/cargo-generate-rpm generate-rpm --source-date $(EPOCH) -o $(RELEASED)/
	$(REPEATABLE) $(TOOLS)/bin/cargo-generate-rpm generate-rpm --source-date $(EPOCH) -p cluster -o $(RELEASED)/

# For hosts without dpkg and rpm: unpacked into /usr/local.
tarball: build ## archives of the static programs, with all that belongs to them
	rm -rf $(STAGE)/tar $(STAGE)/tar-cluster
	$(MAKE) --no-print-directory install DESTDIR=$(STAGE)/tar >/dev/null
	$(MAKE) --no-print-directory install-cluster DESTDIR=$(STAGE)/tar-cluster >/dev/null
	mkdir -p $(RELEASED) && rm -f $(RELEASED)/*.tar.gz
	$(call archive,oci-link,tar)
	$(call archive,oci-link-cluster,tar-cluster)

lintian: deb lintian-deps ## the .debs by Debian's rules: no errors
	lintian --allow-root --fail-on error --tag-display-limit 0 $(RELEASED)/*.deb

package-tools: toolchain ## what makes packages, into target/tools
	$(call tool,cargo-deb@3.8.0 cargo-generate-rpm@0.21.1)

# Without optimisation: cargo-deny runs for seconds, and CI builds it for each change.
deny-tool: export CARGO_PROFILE_RELEASE_OPT_LEVEL = 0
deny-tool: export CARGO_PROFILE_RELEASE_LTO = false
deny-tool:
	$(call tool,cargo-deny@0.20.2)

release-tools: package-tools deny-tool ## what a release needs besides
	$(call tool,cargo-cyclonedx@0.5.9)

release: release-check release-tools check-deps packages ## archives, packages, SBOM and checksums, into target/release-files
	$(REPEATABLE) $(TOOLS)/bin/cargo-cyclonedx cyclonedx --format json --no-build-deps \
	    --target $(TARGET) --override-filename oci-link.cdx
	mv oci-link.cdx.json $(RELEASED)/
	@# The tool does the same for each member of the workspace, beside its Cargo.toml.
	@[ ! -e cluster/oci-link.cdx.json ] || mv cluster/oci-link.cdx.json $(RELEASED)/oci-link-cluster.cdx.json
	cd $(RELEASED) && rm -f SHA256SUMS && sha256sum * >SHA256SUMS && cat SHA256SUMS

# Prints one line for each step of RELEASING.md that was left out. `.git` is looked for here and not by
# git, which would also find another project's checkout around an unpacked source archive.
release-check: ## the steps of RELEASING.md that can be checked; a part of release
	@failed=; fail() { echo "release-check: $$*" >&2; failed=1; }; \
	version=$$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"$$/\1/p' Cargo.toml); \
	if [ -z "$$version" ]; then fail "Cargo.toml has no version"; \
	elif ! awk -v version="$$version" '$$1 == "##" && $$2 == version { found = 1 } END { exit !found }' \
	    CHANGELOG.md; then fail "CHANGELOG.md has no section '## $$version': add it, with the date"; fi; \
	grep -qx "version = \"$$version\"" cluster/Cargo.toml \
	    || fail "cluster/Cargo.toml has another version than Cargo.toml"; \
	for file in RELEASING.md SECURITY.md; do \
	    [ -f $$file ] || fail "$$file is missing"; done; \
	if [ ! -e .git ]; then \
	    echo "release-check: not a git checkout: uncommitted changes are not checked" >&2; \
	elif ! changes=$$(git status --porcelain 2>&1); then \
	    fail "git status failed: $$(echo "$$changes" | head -n 1)"; \
	elif [ -n "$$changes" ]; then \
	    fail "the work tree has uncommitted changes ($$(echo "$$changes" | wc -l)): see git status"; fi; \
	for manifest in Cargo.toml fuzz/Cargo.toml; do \
	    cause=$$(cargo metadata --locked --format-version 1 --manifest-path $$manifest 2>&1 >/dev/null) \
	        || fail "$${manifest%toml}lock is not up to date ($$(echo "$$cause" | grep -m 1 '^error'))"; done; \
	[ -z "$$failed" ]

# Advisories come from RustSec's database, which is no registry: where it cannot be fetched, say so
# by ADVISORIES=skip.
check-deps: release-tools ## licences, sources, bans and advisories of what we depend on
	$(TOOLS)/bin/cargo-deny --locked check bans licenses sources
	$(COURIER_DENY) check bans licenses sources
ifeq ($(ADVISORIES),skip)
	@echo "advisories: NOT CHECKED, as ADVISORIES=skip says" >&2
else
	@$(TOOLS)/bin/cargo-deny --locked check advisories && $(COURIER_DENY) check advisories || { \
	    echo "advisories: found, or not to be had; ADVISORIES=skip leaves them out" >&2; exit 1; }
endif

# For CI: a machine that cannot fetch the database of advisories checks the rest.
deny: deny-tool ## as check-deps; without the database of advisories, all but these
	$(TOOLS)/bin/cargo-deny --locked check bans licenses sources
	$(COURIER_DENY) check bans licenses sources
	@if GIT_TERMINAL_PROMPT=0 timeout 120 $(TOOLS)/bin/cargo-deny --locked fetch db; then \
	    $(TOOLS)/bin/cargo-deny --locked check --disable-fetch advisories \
	    && $(COURIER_DENY) check --disable-fetch advisories; \
	else echo "advisories: NOT CHECKED: their database cannot be fetched" >&2; fi

test-packages: engine-deps lintian packages test-upgrade ## installed, used, upgraded and removed, on a Debian of their own
	OCI_LINK_PACKAGES=$(abspath $(RELEASED)) cargo test --test engines packages -- --ignored

# Archives what is below /usr/local in a stage; its folder is named as the archive: $(1)-VERSION-ARCH.
# Directories are left out, so that those of the host keep their mode.
define archive
	name=$(1)-$(VERSION)-$(ARCH) && find $(STAGE)/$(2)/usr/local ! -type d -printf './%P\n' | LC_ALL=C sort \
	    | $(REPEATABLE) tar --create --file=$(RELEASED)/$$name.tar.gz --use-compress-program='gzip -9n' \
	    --mtime=@$(EPOCH) --owner=0 --group=0 --numeric-owner --transform="s,^\.,$$name,S" \
	    -C $(STAGE)/$(2)/usr/local --no-recursion --files-from=-
endef

# What Debian wants besides: a changelog of its own form, and the reason for a static program. The copy of the
# licence is in base-files there.
define debian
	printf '%s (%s-1) unstable; urgency=medium\n\n  * CHANGELOG.md lists the changes.\n\n -- %s  %s\n' $(1) $(VERSION) \
	    "$$(sed -n 's/^maintainer = "\(.*\)"/\1/p' Cargo.toml)" "$$(LC_ALL=C date -u -R -d @$(EPOCH))" >$(STAGE)/$(1).changelog
	rm -f $(STAGE)/$(2)/usr/share/doc/$(1)/LICENSE
	mkdir -p $(STAGE)/$(2)/usr/share/lintian/overrides
	printf '# It starts with every container, and on every distribution.\n%s: statically-linked-binary\n' $(1) \
	    >$(STAGE)/$(2)/usr/share/lintian/overrides/$(1)
endef

# Builds the tools that are missing.
define tool
@for tool in $(1); do \
    [ -x $(TOOLS)/bin/$${tool%@*} ] || cargo install --locked --root $(TOOLS) $$tool || exit; done
endef
