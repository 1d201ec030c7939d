#!/bin/sh
# Makes a root filesystem of Debian's development release with the newest engines: sid.sh DIR
#
# Takes 90 seconds to five minutes and 900 MB, once; packages that a test has come to need are added.
# Nothing else in it is ever changed: a test covers it with a file system in memory. Make it anew by
# removing DIR.
set -eu

dir=$1
packages=busybox-static,ca-certificates,conntrack,containerd,containernetworking-plugins,crun
packages=$packages,docker-cli,docker.io,iproute2,ipset,iptables,kmod,netavark,nftables,podman
packages=$packages,procps,runc,util-linux
more=podman-compose

complete() {
    [ -e "$dir/.complete" ] && [ -e "$dir/var/lib/dpkg/info/$more.list" ]
}

! complete || exit 0
mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9 # tests run side by side: one makes it, the others wait
! complete || exit 0

if [ ! -e "$dir/.complete" ]; then
    rm -rf "$dir"
    mkdir -p "$dir"
    debootstrap --variant=minbase --include="$packages" sid "$dir"
    touch "$dir/.complete"
fi
# A mirror that is not fresh will do.
export DEBIAN_FRONTEND=noninteractive
chroot "$dir" apt-get -q -o Acquire::Check-Valid-Until=false update
chroot "$dir" apt-get -qy install --no-install-recommends "$more"
chroot "$dir" apt-get clean
