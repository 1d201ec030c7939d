#!/bin/sh
# Runs targets of make on a Debian 13 that has make and nothing else: tests/fresh.sh [TARGET …]
#
# apt installs the compiler and all else there. On a Debian 12, whose Rust is too old, each target must
# say so in one line, and install nothing. Takes two Debians of 200 MB, once; `demo` takes 5 minutes, `test` 15.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
cache=/var/cache/oci-link-test
debian=$here/tests/engines/rigs/debian.sh

if [ "${1-}" = --inside ]; then # TARGET…, in namespaces, with the root file system in $root
    shift
    mount --make-rprivate /
    mount --bind "$root" "$root" # pivot_root takes a mount point
    cd "$root"
    mount -t proc proc proc
    mount --rbind /sys sys
    mount --rbind /dev dev
    for dir in run tmp; do mount -t tmpfs -o mode=1777 tmpfs "$dir"; done
    chmod 0755 run
    cp /etc/resolv.conf etc/
    # Behind a proxy, its certificates are those that count.
    cp /etc/ssl/certs/ca-certificates.crt etc/ssl/certs/
    mkdir -p root/oci-link root/.cargo/registry
    (cd "$here" && tar -c --exclude ./target --exclude ./.git .) | tar -x -C root/oci-link
    # Sources of dependencies that were fetched before need no network.
    if [ -d "${CARGO_HOME:-$HOME/.cargo}/registry" ]; then
        mount --bind "${CARGO_HOME:-$HOME/.cargo}/registry" root/.cargo/registry
    fi
    mkdir -p .old && pivot_root . .old
    umount -l /.old
    cd /root/oci-link
    for target; do
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb make "$target"
    done
    exit
fi

# ROOT: prints how many packages are installed in it.
packages() {
    ls "$1/var/lib/dpkg/info" | wc -l
}

# SUITE TARGET…: runs them in a copy of that Debian, of which nothing stays.
play() {
    suite=$1
    shift
    "$debian" "$suite" ca-certificates,make "$cache/$suite-make"
    work=$(mktemp -d /var/tmp/oci-link-fresh.XXXXXX)
    # A copy on the disk, and no overlay: tests mount overlays, and the kernel takes none as an upper layer.
    cp -a "$cache/$suite-make" "$work/root"
    before=$(packages "$work/root")
    status=0
    root=$work/root \
        unshare --mount --pid --ipc --uts --fork --kill-child "$0" --inside "$@" || status=$?
    installed=$(($(packages "$work/root") - before))
    rm -rf "$work"
    return $status
}

[ "$(id -u)" = 0 ] || { echo "test-fresh: needs root" >&2; exit 1; }
[ $# -gt 0 ] || set -- demo test
said=$(mktemp)
for target; do
    if play bookworm "$target" >"$said" 2>&1; then
        echo "test-fresh: make $target passes with the Rust of Debian 12?" >&2
        exit 1
    fi
    line=$(grep 'install Rust .* or later' "$said") || { cat "$said" >&2; exit 1; }
    [ "$installed" = 0 ] || { echo "test-fresh: make $target installed packages first" >&2; exit 1; }
    echo "Debian 12, make $target: $line"
done
rm -f "$said"
play trixie "$@"
echo "test-fresh: passed on Debian 13: $*"
