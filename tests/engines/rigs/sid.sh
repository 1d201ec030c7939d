#!/bin/sh
# Makes a root filesystem of Debian's development release with the newest engines: sid.sh DIR
#
# Takes 90 seconds to five minutes and 850 MB, once. Nothing in it is ever changed: a test covers it with a file
# system in memory. Make it anew by removing DIR.
set -eu

dir=$1
[ ! -e "$dir/.complete" ] || exit 0
mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9 # tests run side by side: one makes it, the others wait
[ ! -e "$dir/.complete" ] || exit 0

packages=busybox-static,ca-certificates,conntrack,containerd,containernetworking-plugins,crun
packages=$packages,docker-cli,docker.io,iproute2,ipset,iptables,kmod,netavark,nftables,podman
packages=$packages,procps,runc,util-linux

rm -rf "$dir"
mkdir -p "$dir"
debootstrap --variant=minbase --include="$packages" sid "$dir"
touch "$dir/.complete"
