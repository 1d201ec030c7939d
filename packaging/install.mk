# Where things go, by the names of the GNU coding standards. Packages are what this puts below DESTDIR.

PREFIX      = /usr/local
prefix      = $(PREFIX)
exec_prefix = $(prefix)
bindir      = $(exec_prefix)/bin
libdir      = $(exec_prefix)/lib
datarootdir = $(prefix)/share
datadir     = $(datarootdir)
mandir      = $(datarootdir)/man
docdir      = $(datarootdir)/doc/oci-link
# systemd has its own beside these, and looks in both.
unitdir     = $(prefix)/lib/systemd/system
tmpfilesdir = $(prefix)/lib/tmpfiles.d
sysusersdir = $(prefix)/lib/sysusers.d
# Debian's zsh looks elsewhere than zsh's own.
zshdir      = $(datarootdir)/zsh/site-functions
bashdir     = $(datarootdir)/bash-completion/completions
fishdir     = $(datarootdir)/fish/vendor_completions.d

INSTALL         = install
INSTALL_PROGRAM = $(INSTALL) -m 755
INSTALL_DATA    = $(INSTALL) -m 644

WRAPPERS = runtime runc crun youki
# Examples for engines: `oci-link configure` writes them where they count.
ENGINES  = $(notdir $(wildcard hooks/*.toml hooks/*.conf))
HOOKS    = $(notdir $(wildcard hooks/hooks.d/*.json))
# The paths in the files of this repository, and those where they are installed.
PLACED   = sed 's|/usr\(/local\)\?/bin/oci-link|$(bindir)/oci-link|g'

.PHONY: install uninstall install-cluster uninstall-cluster

install: ## into PREFIX (/usr/local), below DESTDIR; build it first
	@test -x $(BINARY) || { echo "no $(BINARY): make build" >&2; exit 1; }
	$(INSTALL) -d $(addprefix $(DESTDIR),$(bindir) $(docdir) $(unitdir) $(tmpfilesdir) $(zshdir) \
	    $(bashdir) $(fishdir) $(mandir)/man1 $(mandir)/man5 $(mandir)/man7 $(datadir)/oci-link/hooks.d)
	@# Containers start meanwhile: the program is replaced by a rename.
	$(INSTALL_PROGRAM) $(BINARY) $(DESTDIR)$(bindir)/.oci-link.new
	mv -f $(DESTDIR)$(bindir)/.oci-link.new $(DESTDIR)$(bindir)/oci-link
	for name in $(WRAPPERS); do ln -sf oci-link $(DESTDIR)$(bindir)/oci-link-$$name || exit; done
	for file in $(ENGINES) $(addprefix hooks.d/,$(HOOKS)); do \
	    $(PLACED) hooks/$$file >$(DESTDIR)$(datadir)/oci-link/$$file || exit; done
	$(PLACED) packaging/systemd/oci-link-watch.service >$(DESTDIR)$(unitdir)/oci-link-watch.service
	$(INSTALL_DATA) packaging/tmpfiles.d/oci-link.conf $(DESTDIR)$(tmpfilesdir)
	$(BINARY) completions bash >$(DESTDIR)$(bashdir)/oci-link
	$(BINARY) completions zsh >$(DESTDIR)$(zshdir)/_oci-link
	$(BINARY) completions fish >$(DESTDIR)$(fishdir)/oci-link.fish
	pages=$$(mktemp -d) && $(BINARY) man $$pages && gzip -9n $$pages/* && for section in 1 5 7; do \
	    $(INSTALL_DATA) $$pages/*.$$section.gz $(DESTDIR)$(mandir)/man$$section || exit; done; \
	    rm -rf "$$pages"
	$(INSTALL_DATA) LICENSE README.md CHANGELOG.md $(DESTDIR)$(docdir)
	chmod -R u=rwX,go=rX $(DESTDIR)$(datadir)/oci-link
	chmod 644 $(DESTDIR)$(unitdir)/oci-link-watch.service $(DESTDIR)$(bashdir)/oci-link \
	    $(DESTDIR)$(zshdir)/_oci-link $(DESTDIR)$(fishdir)/oci-link.fish

uninstall: ## out of PREFIX again; ends all links, unless there is a DESTDIR
	$(if $(DESTDIR),,$(PLACED) packaging/scripts/prerm | sh -s remove)
	rm -f $(DESTDIR)$(bindir)/oci-link $(addprefix $(DESTDIR)$(bindir)/oci-link-,$(WRAPPERS))
	rm -f $(DESTDIR)$(unitdir)/oci-link-watch.service $(DESTDIR)$(tmpfilesdir)/oci-link.conf
	rm -f $(DESTDIR)$(bashdir)/oci-link $(DESTDIR)$(zshdir)/_oci-link $(DESTDIR)$(fishdir)/oci-link.fish
	rm -f $(DESTDIR)$(mandir)/man1/oci-link.1.gz $(DESTDIR)$(mandir)/man1/oci-link-*.1.gz
	rm -f $(DESTDIR)$(mandir)/man5/oci-link.toml.5.gz $(DESTDIR)$(mandir)/man7/oci-link-annotations.7.gz
	rm -rf $(DESTDIR)$(datadir)/oci-link $(DESTDIR)$(docdir)
	$(if $(DESTDIR),,packaging/scripts/postrm remove)

# The courier is of use on hosts in a cluster only.
install-cluster: ## the courier into PREFIX (/usr/local), below DESTDIR; build it first
	@test -x $(COURIER) || { echo "no $(COURIER): make build" >&2; exit 1; }
	$(INSTALL) -d $(addprefix $(DESTDIR),$(bindir) $(unitdir) $(sysusersdir) $(docdir)-cluster)
	$(INSTALL_PROGRAM) $(COURIER) $(DESTDIR)$(bindir)/.oci-link-cluster.new
	mv -f $(DESTDIR)$(bindir)/.oci-link-cluster.new $(DESTDIR)$(bindir)/oci-link-cluster
	$(PLACED) packaging/systemd/oci-link-cluster.service >$(DESTDIR)$(unitdir)/oci-link-cluster.service
	chmod 644 $(DESTDIR)$(unitdir)/oci-link-cluster.service
	$(INSTALL_DATA) packaging/sysusers.d/oci-link-cluster.conf $(DESTDIR)$(sysusersdir)
	$(INSTALL_DATA) LICENSE docs/cluster.md $(DESTDIR)$(docdir)-cluster

uninstall-cluster: ## the courier out of PREFIX again; stop it first
	rm -f $(DESTDIR)$(bindir)/oci-link-cluster $(DESTDIR)$(unitdir)/oci-link-cluster.service
	rm -f $(DESTDIR)$(sysusersdir)/oci-link-cluster.conf
	rm -rf $(DESTDIR)$(docdir)-cluster
