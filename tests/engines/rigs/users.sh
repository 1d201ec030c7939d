#!/bin/sh
# Makes a machine ready for engines of users without root: users.sh NAME UID [NAME UID]…
#
# Each user gets a home directory, further user and group ids, and a runtime directory, as a login
# would make it.
set -eu

mount --make-rshared / # podman warns otherwise
# Images of a user lie in an overlay too, which cannot lie in ours.
mount -t tmpfs -o mode=0755 tmpfs /home
# The nodes of this Debian may be closed for users. These are of this machine only.
mkdir /run/nodes
mknod -m 666 /run/nodes/fuse c 10 229
mknod -m 666 /run/nodes/tun c 10 200
for node in fuse net/tun; do
    mount --bind "/run/nodes/${node#net/}" "/dev/$node"
done
# pasta copies an address and a route of the host.
ip link add eth0 type bridge
ip addr add 192.0.2.10/24 dev eth0
ip link set eth0 up
ip route add default via 192.0.2.1

while [ $# -gt 0 ]; do
    name=$1 uid=$2
    shift 2
    useradd --create-home --shell /bin/sh --uid "$uid" "$name"
    mkdir -p -m 0755 /run/user
    mkdir -m 0700 "/run/user/$uid"
    chown "$name:" "/run/user/$uid"
done
