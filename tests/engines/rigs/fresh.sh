#!/bin/sh
# Makes a root filesystem of Debian 12 with a runtime and what links need, and rpm: fresh.sh DIR
#
# Takes one to seven minutes and 400 MB, once.
set -eu

packages=busybox-static,conntrack,cpio,iproute2,ipset,iptables,kmod,nftables,procps,rpm,runc,util-linux

exec "$(dirname "$0")/debian.sh" bookworm "$packages" "$1"
