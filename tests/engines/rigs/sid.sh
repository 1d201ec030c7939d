#!/bin/sh
# Makes a root filesystem of Debian's development release with the newest engines: sid.sh DIR
#
# Takes 90 seconds to five minutes and 900 MB, once; a package that a test has come to need is added.
set -eu

dir=$1
packages=busybox-static,ca-certificates,conntrack,containerd,containernetworking-plugins,crun
packages=$packages,docker-cli,docker.io,iproute2,ipset,iptables,kmod,netavark,nftables,podman
packages=$packages,procps,runc,util-linux
more="catatonit docker-compose passt podman-compose rootlesskit slirp4netns uidmap"

"$(dirname "$0")/debian.sh" sid "$packages" "$dir"

is_added() {
    for package in $more; do
        [ -e "$dir/var/lib/dpkg/info/$package.list" ] || return 1
    done
}
! is_added || exit 0
exec 9>"$dir.lock"
flock 9 # tests run side by side: one adds it, the others wait
! is_added || exit 0
# A mirror that is not fresh will do.
export DEBIAN_FRONTEND=noninteractive
chroot "$dir" apt-get -q -o Acquire::Check-Valid-Until=false update
chroot "$dir" apt-get -qy install --no-install-recommends $more
chroot "$dir" apt-get clean
