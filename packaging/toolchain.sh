#!/bin/sh
# Makes sure that there are a Rust of at least VERSION and a C compiler to link with: toolchain.sh VERSION
#
# Where there is no Rust, installs Debian's, if it is new enough. Otherwise it installs nothing, and
# prints one line that says what to install.
set -eu

oldest=$1
rustup="install Rust $oldest or later with rustup (https://rustup.rs)"
is_new() { # VERSION: no older than the oldest
    [ "$(printf '%s\n' "$oldest" "$1" | sort -V | head -n 1)" = "$oldest" ]
}
refuse() {
    echo "$1" >&2
    exit 1
}

packages=
if command -v rustc >/dev/null && command -v cargo >/dev/null; then
    version=$(rustc -V | cut -d ' ' -f 2)
    is_new "$version" || refuse "Rust $version ($(command -v rustc)) is too old: $rustup"
else
    command -v apt-cache >/dev/null || refuse "no Rust: $rustup"
    candidate() { apt-cache policy rustc 2>/dev/null | sed -n 's/^ *Candidate: //p'; }
    case "$(candidate)" in
    '' | '(none)') [ "$(id -u)" != 0 ] || apt-get -q update ;;
    esac
    version=$(candidate)
    case "$version" in
    '' | '(none)') refuse "no Rust, and no package rustc: $rustup" ;;
    esac
    is_new "${version%%[+-]*}" || refuse "no Rust, and that of this system is ${version%%[+-]*}: $rustup"
    packages="cargo rustc"
fi
command -v cc >/dev/null || packages="$packages gcc libc6-dev"
[ -n "$packages" ] || exit 0
command -v apt-get >/dev/null || refuse "no C compiler (cc)"
[ "$(id -u)" = 0 ] || refuse "not installed, as root: apt-get install $packages"
apt-get -q update
# shellcheck disable=SC2086 # several names
DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends $packages
