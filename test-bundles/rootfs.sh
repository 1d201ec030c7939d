#!/bin/sh
# Makes DIR/rootfs for every DIR named, or for the bundles beside this script: one static busybox,
# links for the few programs the bundles use, and the directories a runtime mounts on.
# Nothing is shared between two of them, so a container may do to its own whatever it likes.
set -eu

busybox=${BUSYBOX:-/bin/busybox} # Debian: apt-get install busybox-static
here=$(dirname "$0")
[ $# -gt 0 ] || set -- "$here/db" "$here/web"

for bundle; do
    rootfs=$bundle/rootfs
    rm -rf "$rootfs"
    mkdir -p "$rootfs/bin" "$rootfs/dev" "$rootfs/etc" "$rootfs/proc" "$rootfs/sys" "$rootfs/tmp"
    chmod 1777 "$rootfs/tmp"
    cp "$busybox" "$rootfs/bin/busybox"
    for applet in sh cat echo env hostname id ip ls nc ping sleep wget; do
        ln -s busybox "$rootfs/bin/$applet"
    done
    printf '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n' > "$rootfs/etc/hosts"
done
