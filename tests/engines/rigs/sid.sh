#!/bin/sh
# Makes a root filesystem of Debian's development release with the newest engines: sid.sh DIR
#
# Takes 90 seconds to five minutes and 850 MB, once.
set -eu

packages=busybox-static,ca-certificates,conntrack,containerd,containernetworking-plugins,crun
packages=$packages,docker-cli,docker.io,iproute2,ipset,iptables,kmod,netavark,nftables,podman
packages=$packages,procps,runc,util-linux

exec "$(dirname "$0")/debian.sh" sid "$packages" "$1"
