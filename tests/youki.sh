#!/bin/sh
# Has cargo build youki, which no Debian has: youki.sh VERSION ROOT
#
# Once for each version. Without seccomp and systemd it needs no C library. Not optimised, the build
# takes half the time: three minutes of one processor.
set -eu

version=$1 root=$2

[ ! -x "$root/bin/youki" ] || exit 0
mkdir -p "$(dirname "$root")"
exec 9>"$root.lock"
flock 9 # of two that need it at the same time one builds it
[ ! -x "$root/bin/youki" ] || exit 0
# Where no answer comes from the network, cargo waits. A build that was interrupted goes on where it was.
CARGO_PROFILE_RELEASE_OPT_LEVEL=0 timeout 480 cargo install youki --version "=$version" --locked \
    --no-default-features --features v1,v2 --root "$root" --target-dir "$root.build"
rm -rf "$root.build"
